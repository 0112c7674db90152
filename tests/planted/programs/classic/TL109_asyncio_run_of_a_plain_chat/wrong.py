import asyncio
import os

from autogen import AssistantAgent, UserProxyAgent

llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}

assistant = AssistantAgent(name="assistant", llm_config=llm_config)
user_proxy = UserProxyAgent(name="user_proxy", human_input_mode="NEVER", code_execution_config=False)


def main():
    asyncio.run(user_proxy.initiate_chat(assistant, message="What is 7 times 6?", max_turns=1))


if __name__ == "__main__":
    main()
