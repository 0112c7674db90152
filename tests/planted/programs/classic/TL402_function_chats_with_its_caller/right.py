import os

from autogen import AssistantAgent, UserProxyAgent

llm_config = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}

researcher = AssistantAgent("researcher", llm_config=llm_config)
desk = UserProxyAgent("desk", human_input_mode="NEVER", code_execution_config=False)


@desk.register_for_execution()
@researcher.register_for_llm(description="Look a topic up")
def look_up(topic: str) -> str:
    librarian = AssistantAgent("librarian", llm_config=llm_config)
    reader = UserProxyAgent("reader", human_input_mode="NEVER", code_execution_config=False)
    chat = reader.initiate_chat(librarian, message=f"Facts about {topic}", max_turns=1)
    return chat.summary


def main():
    result = desk.initiate_chat(researcher, message="Research the canals of Gent.", max_turns=2)
    print(result.summary)


if __name__ == "__main__":
    main()
