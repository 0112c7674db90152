import os

from autogen import AssistantAgent, GroupChat, GroupChatManager, UserProxyAgent

llm = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


def ask(expert, message):
    reader = UserProxyAgent("reader", human_input_mode="NEVER", code_execution_config=False)
    members = [reader, AssistantAgent(expert, llm_config=llm), AssistantAgent("critic", llm_config=llm)]
    chat = GroupChat(members, messages=[], max_round=3, speaker_selection_method="round_robin")
    return reader.initiate_chat(GroupChatManager(chat, llm_config=llm), message=message)


def main():
    poem = ask("poet", "A poem about autumn")
    dish = ask("cook", "A dish for autumn")
    print(poem.chat_history[-1]["content"], dish.chat_history[-1]["content"], sep="\n")


if __name__ == "__main__":
    main()
