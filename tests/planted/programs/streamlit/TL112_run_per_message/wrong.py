import asyncio

import streamlit as st
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

st.set_page_config(page_title="Recipe chat", page_icon="🍲")

if "agent" not in st.session_state:
    st.session_state["agent"] = AssistantAgent(
        "cook",
        model_client=OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0),
        system_message="You suggest recipes.",
    )
    st.session_state["log"] = []


def main() -> None:
    st.title("Recipe chat 🍲")
    for role, text in st.session_state["log"]:
        with st.chat_message(role):
            st.markdown(text)
    prompt = st.chat_input("What is in your fridge?")
    if not prompt:
        return
    with st.chat_message("user"):
        st.markdown(prompt)
    result = asyncio.run(st.session_state["agent"].run(task=prompt))
    reply = result.messages[-1].content
    with st.chat_message("assistant"):
        st.markdown(reply)
    st.session_state["log"] += [("user", prompt), ("assistant", reply)]


if __name__ == "__main__":
    main()
