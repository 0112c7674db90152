import os

from autogen import AssistantAgent, UserProxyAgent

llm_config = {
    "config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}],
    "max_tokens": 50,
    "cache_seed": None,
}


def main():
    clerk = AssistantAgent("clerk", llm_config=llm_config)
    boss = UserProxyAgent("boss", human_input_mode="NEVER", code_execution_config=False)
    contract = boss.initiate_chat(clerk, message="Write the rental contract.", max_turns=1).summary
    with open("contract.txt", "w") as file:
        file.write(contract)
    print("contract written")


if __name__ == "__main__":
    main()
