import asyncio
import os

from autogen import AssistantAgent, UserProxyAgent

CITIES = ["Gent", "Brugge", "Leuven", "Mechelen"]


async def ask(city, llm_config):
    guide = AssistantAgent("guide", llm_config=llm_config)
    tourist = UserProxyAgent(
        "tourist", human_input_mode="NEVER", code_execution_config=False, default_auto_reply="And at night?"
    )
    return await tourist.a_initiate_chat(guide, message=f"What to see in {city}?", max_turns=2)


async def main():
    llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}]}
    for city, chat in zip(CITIES, await asyncio.gather(*(ask(city, llm_config) for city in CITIES))):
        print(city, "->", chat.summary)


if __name__ == "__main__":
    asyncio.run(main())
