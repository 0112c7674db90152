import asyncio
import os

import autogen

config_list = [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}]


async def compare(first, second):
    critic = autogen.AssistantAgent("critic", llm_config={"config_list": config_list, "cache_seed": None})
    reader = autogen.UserProxyAgent("reader", human_input_mode="NEVER", code_execution_config=False)
    result = await reader.a_initiate_chat(critic, message=f"Compare {first} and {second}", max_turns=1)
    print(result.summary)


if __name__ == "__main__":
    asyncio.run(compare("Emma", "Middlemarch"))
