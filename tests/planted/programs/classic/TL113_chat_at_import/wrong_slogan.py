import os

from autogen import AssistantAgent, UserProxyAgent

llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}
writer = AssistantAgent("writer", llm_config=llm_config)
boss = UserProxyAgent("boss", human_input_mode="NEVER", code_execution_config=False)

SLOGAN = boss.initiate_chat(writer, message="A slogan for our shop", max_turns=1).summary
