"""The guard on AG2 1.x, in the environment that has it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

ag2 = pytest.importorskip("ag2", reason="runs in an environment of its own: test_environments.py")
import openai  # noqa: E402
from ag2.config import OpenAIConfig  # type: ignore[import-not-found]  # noqa: E402

from turnlane.guard import requests  # noqa: E402
from turnlane.guard.requests import Request  # noqa: E402
from turnlane.practice import PracticeProvider, Rule, ToolCall  # noqa: E402

pytestmark = pytest.mark.anyio

RULES = [
    Rule(when="look up", call=[ToolCall("look_up", {"key": "P-404"})], say="looked up: {tool_result}"),
    Rule(when="broken", fault="unauthorized"),
    Rule(when="explain", say="first this, then that"),
    Rule(say="hello", latency=0.02),
]


@pytest.fixture
async def config() -> AsyncIterator[Any]:
    async with openai.DefaultAsyncHttpxClient() as http, PracticeProvider(RULES) as provider:
        yield OpenAIConfig(model="gpt-4o", api_key="practice", base_url=provider.base_url, http_client=http)


def agent(config: Any, name: str = "support", **options: Any) -> Any:
    return ag2.Agent(name, "Help.", config=config, **options)


def request(**keys: str) -> Request:
    return Request("test", "POST /chat", keys=keys)


class TestStreams:
    async def test_one_stream_for_two_users_at_once(self, watched: Any, config: Any) -> None:
        support, stream = agent(config), ag2.MemoryStream()

        async def chat(name: str) -> None:
            with requests.within(request(user_id=name)):
                await support.ask(f"I am {name}", stream=stream)

        await asyncio.gather(chat("ann"), chat("bob"))
        hazard = watched.hazard("TL203")
        assert hazard["object"] == "MemoryStream"
        assert hazard["place"]["function"].endswith("chat")

    async def test_one_stream_for_two_users_one_after_the_other(self, watched: Any, config: Any) -> None:
        support, stream = agent(config), ag2.MemoryStream()
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                async with support.run(f"I am {name}", stream=stream) as run:
                    await run.result()
        assert watched.codes == {"TL203"}

    async def test_a_kept_answer_is_continued_by_another_user(self, watched: Any, config: Any) -> None:
        support = agent(config)
        with requests.within(request(user_id="ann")):
            answer = await support.ask("I am ann", stream=ag2.MemoryStream())
        for name in ("bob", "cleo"):
            with requests.within(request(user_id=name)):
                answer = await answer.ask(f"I am {name}")
        assert watched.codes == {"TL203"}

    async def test_turns_of_one_conversation_wait_for_each_other(self, watched: Any, config: Any) -> None:
        support, stream = agent(config), ag2.MemoryStream()
        await asyncio.gather(*(support.ask(text, stream=stream) for text in ("one", "two")))
        with requests.within(request(conversation_id="7")):
            await asyncio.gather(*(support.ask(text, stream=stream) for text in ("one", "two")))
        assert watched.codes == set()

    async def test_a_shared_agent_with_a_stream_for_each(self, watched: Any, config: Any) -> None:
        support = agent(config)

        async def chat(name: str) -> None:
            stream = ag2.MemoryStream()
            for turn in range(2):
                with requests.within(request(conversation_id=name)):
                    answer = await support.ask(f"{name} {turn}", stream=stream)
                    assert answer.body == "hello"

        await asyncio.gather(*(chat(f"c{number}") for number in range(10)))
        assert watched.codes == set()

    async def test_a_turn_stopped_in_a_tool_spoils_its_stream(self, watched: Any, config: Any) -> None:
        begun = asyncio.Event()

        async def look_up(key: str) -> str:
            begun.set()
            await asyncio.sleep(60)
            return "never"

        support, stream = agent(config, tools=[look_up]), ag2.MemoryStream()
        turn = asyncio.create_task(support.ask("look up", stream=stream))
        await begun.wait()
        turn.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await turn
        assert watched.codes <= {"TL404"}
        with contextlib.suppress(Exception):
            await support.ask("hi", stream=stream)
        assert "TL207" in watched.codes


class TestEntries:
    async def test_a_turn_that_nobody_awaits(self, watched: Any, config: Any) -> None:
        agent(config).ask("hi")
        gc.collect()
        assert watched.codes == {"TL106"}

    async def test_a_failure_names_the_agent(self, watched: Any, config: Any) -> None:
        with requests.within(request()) as mine, pytest.raises(Exception, match="401"):
            await agent(config).ask("broken")
        (first,) = [record for record in watched.of_kind("failure") if record["first"]]
        assert (first["request"], first["agent"]) == (mine.id, "Agent 'support'")

    async def test_a_scope_is_left_in_the_middle_of_its_turn(self, watched: Any, config: Any) -> None:
        begun = asyncio.Event()

        async def look_up(key: str) -> str:
            begun.set()
            await asyncio.sleep(60)
            return "never"

        support, stream = agent(config, tools=[look_up]), ag2.MemoryStream()
        await support.ask("hi", stream=stream)
        async with support.run("look up", stream=stream) as run:
            run.start()
            await begun.wait()
        assert watched.hazard("TL502")["place"]["function"].endswith("in_the_middle_of_its_turn")
        assert watched.codes == {"TL502"}

    async def test_a_scope_is_left_after_the_last_word(self, watched: Any, config: Any) -> None:
        stream = ag2.MemoryStream()
        async with agent(config).run("hi", stream=stream) as run:
            with run.stream.join() as events:
                run.start()
                async for event in events:
                    if type(event).__name__ == "ModelResponse":
                        break
        assert watched.codes == set()

    async def test_a_scope_in_which_nothing_is_begun(self, watched: Any, config: Any) -> None:
        async with agent(config).run("hi"):
            pass
        assert watched.codes == set()

    async def test_a_turn_in_the_background_of_its_scope(self, watched: Any, config: Any) -> None:
        with requests.within(request()):
            async with agent(config).run("hi") as run:
                run.start()
                assert (await run.result()).body == "hello"
        assert watched.codes == set()


class TestAnswers:
    async def test_a_cut_answer(self, watched: Any, config: Any) -> None:
        assert (await agent(config.copy(max_tokens=2)).ask("explain it")).body
        hazard = watched.hazard("TL307")
        assert hazard["object"] == "Agent 'support'"
        assert watched.codes == {"TL307"}

    async def test_who_asks_why_the_model_stopped(self, watched: Any, config: Any, tmp_path: Path) -> None:
        """In a file of its own: the guard looks at what the files say that take part."""
        file = tmp_path / "asking.py"
        file.write_text(
            "async def ask(agent, text):\n    answer = await agent.ask(text)\n"
            "    return answer.body if answer.response.finish_reason == 'stop' else None\n"
        )
        ask = runpy.run_path(str(file))["ask"]
        assert await ask(agent(config.copy(max_tokens=2)), "explain it") is None
        assert watched.codes == set()


class TestTools:
    async def test_a_tool_raises(self, watched: Any, config: Any) -> None:
        def look_up(key: str) -> str:
            return {"P-1": "ok"}[key]

        await agent(config, tools=[look_up]).ask("look up")
        hazard = watched.hazard("TL401")
        assert hazard["place"]["function"].endswith("look_up")
        assert hazard["object"] == "tool 'look_up' of Agent 'support'"

    async def test_a_tool_whose_words_no_user_should_read(self, watched: Any, config: Any) -> None:
        def look_up(key: str) -> str:
            return "failed: postgres://shop:hunter2@db/orders"

        reply = await agent(config, tools=[look_up]).ask("look up")
        assert "hunter2" in reply.body
        assert watched.codes == {"TL405"}

    async def test_arguments_that_do_not_fit_are_the_models_doing(self, watched: Any, config: Any) -> None:
        def look_up(key: int) -> str:
            return "found"

        await agent(config, tools=[look_up]).ask("look up")
        assert watched.codes == set()

    async def test_a_tool_asks_its_own_agent(self, watched: Any, config: Any) -> None:
        async def look_up(key: str) -> str:
            return str((await support.ask(f"what is {key}?")).body)

        support = agent(config, tools=[look_up])
        await support.ask("look up")
        assert watched.hazard("TL402")["measures"]["depth"] == 1

    async def test_an_agent_as_a_tool(self, watched: Any, config: Any) -> None:
        expert = agent(config, "expert")

        async def look_up(key: str) -> str:
            return str((await expert.ask(f"what is {key}?")).body)

        await agent(config, tools=[look_up]).ask("look up")
        await agent(config, tools=[expert.as_tool(description="Knows.")]).ask("hi")
        assert watched.codes == set()
