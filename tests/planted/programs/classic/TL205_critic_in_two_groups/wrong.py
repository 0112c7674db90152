import os

from autogen import AssistantAgent, GroupChat, GroupChatManager, UserProxyAgent

llm = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}

critic = AssistantAgent("critic", llm_config=llm)


def group(*members):
    chat = GroupChat([*members, critic], messages=[], max_round=3, speaker_selection_method="round_robin")
    return GroupChatManager(chat, llm_config=llm)


def main():
    reader = UserProxyAgent("reader", human_input_mode="NEVER", code_execution_config=False)
    poets = group(reader, AssistantAgent("poet", llm_config=llm))
    cooks = group(reader, AssistantAgent("cook", llm_config=llm))
    poem = reader.initiate_chat(poets, message="A poem about autumn")
    dish = reader.initiate_chat(cooks, message="A dish for autumn", clear_history=False)
    print(poem.chat_history[-1]["content"], dish.chat_history[-1]["content"], sep="\n")


if __name__ == "__main__":
    main()
