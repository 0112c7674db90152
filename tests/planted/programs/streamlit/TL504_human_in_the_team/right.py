import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def clerk(messages, state):
    """One message of the clerk; the manager types the next one into the page."""
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("clerk", client, system_message="You decide on refunds. Ask the manager.")
    if state:
        await agent.load_state(state)
    result = await agent.run(task=messages)
    state = await agent.save_state()
    await client.close()
    return result.messages[-1].to_text(), state


st.title("Refunds")
wish = st.chat_input("What do you want back? Or: what does the manager say?")
if wish:
    text, st.session_state.state = asyncio.run(clerk(wish, st.session_state.get("state")))
    st.write(text)
