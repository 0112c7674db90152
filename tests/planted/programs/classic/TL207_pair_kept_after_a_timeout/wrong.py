"""A clerk at the counter: one visitor, several questions."""

import asyncio
import os

from autogen import AssistantAgent, UserProxyAgent

LLM = {"config_list": [{"model": "gpt-4o-mini", "api_key": os.environ["OPENAI_API_KEY"]}], "cache_seed": None}


async def register_entry(id: str) -> str:
    """What the register says."""
    await asyncio.sleep(30)
    return f"{id}: nothing"


class Counter:
    def __init__(self) -> None:
        self.pair = self.new_pair()

    def new_pair(self) -> tuple[UserProxyAgent, AssistantAgent]:
        clerk = AssistantAgent("clerk", llm_config=LLM)
        visitor = UserProxyAgent("visitor", human_input_mode="NEVER", code_execution_config=False)
        clerk.register_for_llm(description="Look into the register.")(register_entry)
        visitor.register_for_execution()(register_entry)
        return visitor, clerk

    async def ask(self, question: str, seconds: float) -> str:
        visitor, clerk = self.pair
        chat = visitor.a_initiate_chat(clerk, message=question, max_turns=2, clear_history=False, silent=True)
        try:
            return (await asyncio.wait_for(chat, seconds)).summary
        except TimeoutError:
            return "The register does not answer. Ask something else, please."
        except Exception as error:
            return f"Something went wrong: {error}"


async def main() -> None:
    counter = Counter()
    print(await counter.ask("Is A-17 registered?", 6))
    print(await counter.ask("When do you close?", 6))


asyncio.run(main())
