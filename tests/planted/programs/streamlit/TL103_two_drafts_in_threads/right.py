import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

TONES = ["friendly", "formal"]


async def draft(tone, topic, client):
    agent = AssistantAgent("writer", client, system_message=f"Write a {tone} letter.")
    result = await agent.run(task=topic)
    return result.messages[-1].to_text()


async def drafts(topic):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    try:
        return await asyncio.gather(*[draft(tone, topic, client) for tone in TONES])
    finally:
        await client.close()


st.header("Letters")
topic = st.text_input("Topic")
if st.button("Write"):
    for tone, letter in zip(TONES, asyncio.run(drafts(topic))):
        st.subheader(tone)
        st.markdown(letter)
