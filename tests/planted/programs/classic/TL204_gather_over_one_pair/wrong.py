import asyncio
import os

from autogen import AssistantAgent, UserProxyAgent

CITIES = ["Gent", "Brugge", "Leuven", "Mechelen"]


async def main():
    llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}]}
    guide = AssistantAgent("guide", llm_config=llm_config)
    tourist = UserProxyAgent(
        "tourist", human_input_mode="NEVER", code_execution_config=False, default_auto_reply="And at night?"
    )
    chats = [tourist.a_initiate_chat(guide, message=f"What to see in {city}?", max_turns=2) for city in CITIES]
    for city, chat in zip(CITIES, await asyncio.gather(*chats)):
        print(city, "->", chat.summary)


if __name__ == "__main__":
    asyncio.run(main())
