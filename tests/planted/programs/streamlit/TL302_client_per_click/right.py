"""Names for your pet."""

import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


def suggest(description: str) -> str:
    async def run() -> str:
        client = OpenAIChatCompletionClient(model="gpt-4o-mini")
        try:
            agent = AssistantAgent("names", client, system_message="Suggest one name for a pet.")
            result = await agent.run(task=description)
            return result.messages[-1].to_text()
        finally:
            await client.close()

    return asyncio.run(run())


st.title("Pet names")
description = st.text_area("Describe your pet")
if st.button("Suggest a name") and description:
    with st.spinner("thinking"):
        st.success(suggest(description))
