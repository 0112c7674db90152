import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient

QUESTIONS = ["What is a lane?", "What is a turn?", "What is an owner?", "What is an attempt?"]

client = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)
tutor = AssistantAgent("tutor", model_client=client, system_message="Explain in one sentence.")


def ask(question):
    try:
        return asyncio.run(tutor.run(task=question)).messages[-1].to_text()
    except Exception as error:
        return f"sorry, {error}"


if __name__ == "__main__":
    for question in QUESTIONS:
        print("Q:", question)
        print("A:", ask(question))
