import os

import streamlit as st
from autogen import AssistantAgent, UserProxyAgent


def agents():
    config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}
    assistant = AssistantAgent("assistant", llm_config=config)
    user = UserProxyAgent("user", human_input_mode="NEVER", code_execution_config=False)
    return user, assistant


st.title("AutoGen chat")
question = st.text_input("Ask")
if st.button("Send"):
    user, assistant = agents()
    result = user.initiate_chat(assistant, message=question, max_turns=1)
    for message in result.chat_history:
        st.write(f"**{message['role']}**: {message['content']}")
