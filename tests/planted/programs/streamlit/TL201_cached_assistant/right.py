import asyncio
import threading

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

st.title("Travel desk")


class Desk:
    """The one loop of this server, and the one client on it."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.client = asyncio.run_coroutine_threadsafe(self._connect(), self.loop).result()

    async def _connect(self):
        return OpenAIChatCompletionClient(model="gpt-4o-mini")

    async def _ask(self, prompt, state):
        agent = AssistantAgent(
            "travel_desk",
            model_client=self.client,
            system_message="You help people with their journeys.",
        )
        if state:
            await agent.load_state(state)
        result = await agent.run(task=prompt)
        return result.messages[-1].content, await agent.save_state()

    def ask(self, prompt, state):
        return asyncio.run_coroutine_threadsafe(self._ask(prompt, state), self.loop).result(60)


@st.cache_resource
def desk():
    return Desk()


if "messages" not in st.session_state:
    st.session_state.messages = []
    st.session_state.agent_state = None

for message in st.session_state.messages:
    with st.chat_message(message["role"]):
        st.markdown(message["content"])

if prompt := st.chat_input("Where to?"):
    st.session_state.messages.append({"role": "user", "content": prompt})
    st.chat_message("user").markdown(prompt)
    answer, st.session_state.agent_state = desk().ask(prompt, st.session_state.agent_state)
    st.session_state.messages.append({"role": "assistant", "content": answer})
    st.chat_message("assistant").markdown(answer)
