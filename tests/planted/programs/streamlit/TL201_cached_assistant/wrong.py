import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

st.title("Travel desk")


class Desk:
    """The assistant, and the loop that it runs on."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        import threading

        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.agent = AssistantAgent(
            "travel_desk",
            model_client=OpenAIChatCompletionClient(model="gpt-4o-mini"),
            system_message="You help people with their journeys.",
        )

    def ask(self, prompt):
        return asyncio.run_coroutine_threadsafe(self.agent.run(task=prompt), self.loop).result(60)


@st.cache_resource
def desk():
    return Desk()


if "messages" not in st.session_state:
    st.session_state.messages = []

for message in st.session_state.messages:
    with st.chat_message(message["role"]):
        st.markdown(message["content"])

if prompt := st.chat_input("Where to?"):
    st.session_state.messages.append({"role": "user", "content": prompt})
    st.chat_message("user").markdown(prompt)
    answer = desk().ask(prompt).messages[-1].content
    st.session_state.messages.append({"role": "assistant", "content": answer})
    st.chat_message("assistant").markdown(answer)
