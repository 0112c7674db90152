"""Asks two agents for a plan, for as long as a visitor waits."""

import asyncio
import os

import autogen

config_list = [{"model": "gpt-4o", "api_key": os.environ["OPENAI_API_KEY"]}]


class Planner:
    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.llm = {"config_list": config_list, "cache_seed": None}

    def plan(self, goal: str) -> str:
        thinker = autogen.ConversableAgent("thinker", "Name the next step.", llm_config=self.llm)
        critic = autogen.ConversableAgent("critic", "Find what is wrong with it.", llm_config=self.llm)
        return critic.initiate_chat(thinker, message=goal, max_turns=self.rounds, silent=True).summary


async def within(seconds: float, goal: str) -> str | None:
    planner = Planner(rounds=5)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(planner.plan, goal)
    except TimeoutError:
        return None


async def main() -> None:
    for goal in ("Move the shop", "Paint the boat"):
        print(goal, "->", await within(0.7, goal) or "no plan in time")


if __name__ == "__main__":
    asyncio.run(main())
