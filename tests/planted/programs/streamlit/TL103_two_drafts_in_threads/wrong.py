import asyncio
from concurrent.futures import ThreadPoolExecutor

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

TONES = ["friendly", "formal"]


async def draft(tone, topic):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("writer", client, system_message=f"Write a {tone} letter.")
    result = await agent.run(task=topic)
    await client.close()
    return result.messages[-1].to_text()


def draft_sync(tone, topic):
    loop = asyncio.get_event_loop()
    return loop.run_until_complete(draft(tone, topic))


st.header("Letters")
topic = st.text_input("Topic")
if st.button("Write"):
    with ThreadPoolExecutor() as pool:
        letters = pool.map(draft_sync, TONES, [topic] * len(TONES))
        for tone, letter in zip(TONES, letters):
            st.subheader(tone)
            st.markdown(letter)
