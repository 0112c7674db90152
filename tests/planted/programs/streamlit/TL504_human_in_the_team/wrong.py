import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.conditions import TextMentionTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def refund(wish, show):
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    clerk = AssistantAgent("clerk", client, system_message="You decide on refunds. Ask the manager.")
    manager = UserProxyAgent("manager")
    team = RoundRobinGroupChat([clerk, manager], termination_condition=TextMentionTermination("APPROVE"))
    async for message in team.run_stream(task=wish):
        show(str(getattr(message, "content", "")))
    await client.close()


st.title("Refunds")
wish = st.chat_input("What do you want back?")
if wish:
    asyncio.run(refund(wish, st.write))
