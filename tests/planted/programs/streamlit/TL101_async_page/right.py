import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


class Assistant:
    def __init__(self, style):
        self.style = style

    async def _answer(self, text):
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        agent = AssistantAgent("assistant", client, system_message=f"Answer in a {self.style} way.")
        result = await agent.run(task=text)
        await client.close()
        return result.messages[-1].content

    async def answer(self, text):
        return await self._answer(text)


async def page():
    st.title("Ask me anything")
    style = "short"
    text = st.chat_input("Your question")
    if text:
        with st.chat_message("user"):
            st.write(text)
        with st.chat_message("assistant"):
            st.write(await Assistant(style).answer(text))


asyncio.run(page())
