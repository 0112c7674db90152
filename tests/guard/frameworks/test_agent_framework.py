"""The guard on the Agent Framework, in the environment that has it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import runpy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

openai = pytest.importorskip("openai")
agent_framework = pytest.importorskip(
    "agent_framework", reason="runs in an environment of its own: test_environments.py"
)
openai_client = pytest.importorskip("agent_framework.openai")


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
async def client() -> AsyncIterator[Any]:
    async with (
        PracticeProvider(RULES) as provider,
        openai.AsyncOpenAI(api_key="practice", base_url=provider.base_url) as opened,
    ):
        yield openai_client.OpenAIChatCompletionClient(model="gpt-4o", async_client=opened)


def agent(client: Any, **options: Any) -> Any:
    return agent_framework.Agent(client=client, name="support", instructions="Help.", **options)


def request(**keys: str) -> Request:
    return Request("test", "POST /chat", keys=keys)


class TestSessions:
    async def test_one_session_for_two_users_at_once(self, watched: Any, client: Any) -> None:
        support = agent(client)
        session = support.create_session()

        async def chat(name: str) -> None:
            with requests.within(request(user_id=name)):
                await support.run(f"I am {name}", session=session)

        await asyncio.gather(chat("ann"), chat("bob"))
        hazard = watched.hazard("TL203")
        assert hazard["place"]["function"].endswith("chat")
        assert "AgentSession" in hazard["object"]
        assert "one session" in hazard["message"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_one_session_for_two_users_one_after_the_other(
        self, watched: Any, client: Any, stream: bool
    ) -> None:
        support = agent(client)
        session = support.create_session()
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                if stream:
                    async for _ in support.run(f"I am {name}", session=session, stream=True):
                        pass
                else:
                    await support.run(f"I am {name}", session=session)
        assert watched.codes == {"TL203"}

    async def test_two_turns_of_one_session_at_once(self, watched: Any, client: Any) -> None:
        support = agent(client)
        session = support.create_session()
        await asyncio.gather(*(support.run(text, session=session) for text in ("one", "two")))
        assert watched.codes == {"TL204"}

    async def test_a_shared_agent_with_a_session_for_each(self, watched: Any, client: Any) -> None:
        support = agent(client)
        sessions: dict[str, Any] = {}

        async def chat(name: str) -> None:
            session = sessions.setdefault(name, support.create_session())
            for turn in range(2):
                with requests.within(request(conversation_id=name)):
                    await support.run(f"{name} {turn}", session=session)

        await asyncio.gather(*(chat(f"c{number}") for number in range(10)))
        assert watched.codes == set()

    async def test_a_shared_agent_without_a_session(self, watched: Any, client: Any) -> None:
        support = agent(client)

        async def chat() -> None:
            with requests.within(request()):
                assert (await support.run("hi")).text == "hello"
                final = await support.run("hi", stream=True).get_final_response()
                assert final.text == "hello"

        await asyncio.gather(*(chat() for _ in range(5)))
        assert watched.codes == set()

    @pytest.mark.parametrize("disconnects", [True, False], ids=["the reader leaves", "the program stops it"])
    async def test_a_session_whose_turn_was_lost_with_its_reader(
        self, watched: Any, client: Any, disconnects: bool
    ) -> None:
        support = agent(client)
        session = support.create_session()

        async def turn() -> None:
            async for _ in support.run("hi", session=session, stream=True):
                pass

        with requests.within(request(conversation_id="7")) as first:
            reading = asyncio.create_task(turn())
            await asyncio.sleep(0)
            first.notes["disconnected"] = disconnects
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        for text in ("are you there?", "hello?"):
            with requests.within(request(conversation_id="7")):
                await support.run(text, session=session)
        assert watched.codes == ({"TL502"} if disconnects else set())

    async def test_a_session_that_travels_as_json(self, watched: Any, client: Any) -> None:
        support = agent(client)
        saved = support.create_session().to_dict()
        for _ in range(2):
            with requests.within(request(conversation_id="7")):
                session = agent_framework.AgentSession.from_dict(saved)
                await support.run("hi", session=session)
                saved = session.to_dict()
        assert watched.codes == set()


class TestHistories:
    async def test_one_list_for_everybody(self, watched: Any, client: Any) -> None:
        support, history = agent(client), []

        async def chat(name: str) -> None:
            with requests.within(request(user_id=name)):
                history.append(agent_framework.Message("user", [f"I am {name}"]))
                await support.run(history)

        await asyncio.gather(chat("ann"), chat("bob"))
        await chat("cleo")
        assert watched.codes == {"TL202"}

    async def test_a_list_for_each(self, watched: Any, client: Any) -> None:
        support = agent(client)
        for name in ("ann", "bob", "ann", "bob"):
            with requests.within(request(user_id=name)):
                await support.run([agent_framework.Message("user", ["hi"])])
        assert watched.codes == set()


class TestEntries:
    @pytest.mark.parametrize(("status", "codes"), [(504, {"TL503"}), (202, set())])
    async def test_work_of_a_request_that_is_answered(
        self, watched: Any, client: Any, status: int, codes: set[str]
    ) -> None:
        support, done = agent(client), asyncio.Event()

        async def work() -> None:
            for text in ("one", "two", "three"):
                await support.run(text)
            done.set()

        with requests.within(request()) as mine:
            watched.kept = {asyncio.create_task(work())}
            await asyncio.wait(watched.kept, timeout=0.01)
            mine.status = status
        await done.wait()
        assert watched.codes == codes

    async def test_a_run_that_nobody_awaits(
        self, watched: Any, client: Any, recwarn: pytest.WarningsRecorder
    ) -> None:
        agent(client).run("hi")
        gc.collect()
        assert watched.codes == {"TL106"}
        assert len([warning for warning in recwarn if "never awaited" in str(warning.message)]) == 1

    @pytest.mark.filterwarnings("ignore:coroutine")
    async def test_a_stream_that_nobody_reads(self, watched: Any, client: Any) -> None:
        agent(client).run("hi", stream=True)
        gc.collect()
        assert watched.codes == {"TL106"}

    def test_a_stream_that_is_left(self, watched: Any) -> None:
        async def program() -> None:
            async with (
                PracticeProvider(RULES) as provider,
                openai.AsyncOpenAI(api_key="practice", base_url=provider.base_url) as opened,
            ):
                support = agent(openai_client.OpenAIChatCompletionClient(model="gpt-4o", async_client=opened))
                session = support.create_session()
                async for update in support.run("hi", session=session, stream=True):
                    if update.text:
                        break
                await support.run("and now?", session=session)

        asyncio.run(program())
        assert watched.codes == {"TL502"}

    async def test_what_run_returns_is_what_it_was(self, watched: Any, client: Any) -> None:
        support = agent(client)
        coroutine = support.run("hi")
        assert asyncio.iscoroutine(coroutine)
        await coroutine
        stream = support.run("hi", stream=True)
        assert type(stream).__name__ == "ResponseStream"
        texts = [update.text async for update in stream]
        assert "".join(texts) == "hello"
        assert (await stream.get_final_response()).text == "hello"

    async def test_a_failure_names_the_agent(self, watched: Any, client: Any) -> None:
        with requests.within(request()) as mine, pytest.raises(Exception, match="401"):
            await agent(client).run("broken")
        (first,) = [record for record in watched.of_kind("failure") if record["first"]]
        assert (first["request"], first["agent"]) == (mine.id, "Agent 'support'")

    async def test_agents_of_the_users_own(self, watched: Any) -> None:
        class Echo(agent_framework.BaseAgent):  # type: ignore[name-defined,misc]
            async def run(self, messages: Any = None, *, session: Any = None, **_: Any) -> Any:
                await asyncio.sleep(0)
                return agent_framework.AgentResponse(messages=[])

        echo = Echo(name="echo")
        session = echo.create_session()
        await asyncio.gather(echo.run("one", session=session), echo.run("two", session=session))
        assert watched.codes == {"TL204"}


class TestAnswers:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_cut_answer(self, watched: Any, client: Any, stream: bool) -> None:
        explainer = agent(client, default_options={"max_tokens": 2})
        answer = explainer.run("explain it", stream=stream)
        assert (await (answer.get_final_response() if stream else answer)).text
        hazard = watched.hazard("TL307")
        assert hazard["object"] == "Agent 'support'"
        assert hazard["place"]["function"] == "TestAnswers.test_a_cut_answer"
        assert watched.codes == {"TL307"}

    @pytest.mark.parametrize("run", ["agent.run(text)", "asyncio.create_task(agent.run(text))"])
    async def test_who_asks_why_the_model_stopped(
        self, watched: Any, client: Any, tmp_path: Path, run: str
    ) -> None:
        """In a file of its own: the guard looks at what the files say that take part."""
        file = tmp_path / "asking.py"
        file.write_text(
            f"import asyncio\nasync def ask(agent, text):\n    answer = await {run}\n"
            "    return answer.text if answer.finish_reason == 'stop' else None\n"
        )
        ask = runpy.run_path(str(file))["ask"]
        assert await ask(agent(client, default_options={"max_tokens": 2}), "explain it") is None
        assert watched.codes == set()


class TestTools:
    async def test_a_tool_raises(self, watched: Any, client: Any) -> None:
        def look_up(key: str) -> str:
            """Look up."""
            return {"P-1": "ok"}[key]

        await agent(client, tools=[look_up]).run("look up")
        hazard = watched.hazard("TL401")
        assert hazard["place"]["function"].endswith("look_up")
        assert hazard["measures"]["exception"] == "KeyError"
        assert hazard["object"] == "tool 'look_up' of Agent 'support'"

    async def test_a_tool_runs_its_own_agent(self, watched: Any, client: Any) -> None:
        async def look_up(key: str) -> str:
            """Look up."""
            return (await support.run(f"what is {key}?")).text  # type: ignore[no-any-return]

        support = agent(client, tools=[look_up])
        await support.run("look up")
        assert watched.hazard("TL402")["measures"]["depth"] == 1

    async def test_an_agent_as_a_tool(self, watched: Any, client: Any) -> None:
        expert = agent_framework.Agent(client=client, name="expert", instructions="Know.")
        support = agent(client, tools=[expert.as_tool(name="look_up", arg_name="key")])
        with requests.within(request()):
            await support.run("look up", session=support.create_session())
        assert watched.codes == set()

    async def test_a_good_tool(self, watched: Any, client: Any) -> None:
        @agent_framework.tool  # type: ignore[untyped-decorator]
        def look_up(key: str) -> str:
            """Look up."""
            return "found"

        assert "looked up" in (await agent(client, tools=[look_up]).run("look up")).text
        assert watched.codes == set()


class TestStops:
    @pytest.fixture
    def guard_settings(self) -> dict[str, Any]:
        return {"grace": 0.3}

    async def stop(self, client: Any, clean_up: Callable[[], Awaitable[None]]) -> None:
        begun = asyncio.Event()

        async def look_up(key: str) -> str:
            """Look up."""
            try:
                begun.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await clean_up()
            return "found"

        run = asyncio.create_task(agent(client, tools=[look_up]).run("look up"))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    async def test_a_tool_that_keeps_the_stop_to_itself(self, watched: Any, client: Any) -> None:
        await self.stop(client, lambda: asyncio.sleep(1))
        hazard = watched.hazard("TL404")
        assert hazard["object"] == "tool 'look_up' of Agent 'support'"
        assert hazard["place"]["file"] == __file__
        assert watched.codes == {"TL404"}

    @pytest.mark.parametrize(
        ("kept", "codes"), [(BaseException, {"TL503"}), (Exception, set())], ids=["kept", "handed on"]
    )
    async def test_a_stop_that_the_program_keeps_to_itself(
        self, watched: Any, client: Any, kept: type[BaseException], codes: set[str]
    ) -> None:
        support = agent(client)

        async def steps() -> None:
            for text in ("one", "two", "three"):
                with contextlib.suppress(kept):
                    await support.run(text)

        task = asyncio.create_task(steps())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert watched.codes == codes

    async def test_another_run_after_a_deadline(self, watched: Any, client: Any) -> None:
        support = agent(client)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await support.run("one")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(support.run("two"), 0)
        await support.run("three")
        assert watched.codes == set()

    async def test_a_tool_that_cleans_up(self, watched: Any, client: Any) -> None:
        await self.stop(client, lambda: asyncio.sleep(0))
        assert watched.codes == set()


class TestWorkflows:
    def workflow(self, client: Any) -> Any:
        writer = agent_framework.Agent(client=client, name="writer", instructions="Write.")
        critic = agent_framework.Agent(client=client, name="critic", instructions="Judge.")
        return agent_framework.WorkflowBuilder(start_executor=writer).add_edge(writer, critic).build()

    async def test_a_workflow_for_everybody_at_once(self, watched: Any, client: Any) -> None:
        shared = self.workflow(client)

        async def chat(name: str) -> None:
            with requests.within(request(user_id=name)):
                await shared.run(f"I am {name}")

        await asyncio.gather(chat("ann"), chat("bob"), return_exceptions=True)
        assert watched.codes == {"TL201"}

    async def test_two_calls_before_the_first_has_begun(self, watched: Any, client: Any) -> None:
        shared = self.workflow(client)
        first = shared.run("one")
        with contextlib.suppress(Exception):
            shared.run("two")
        await first
        assert watched.codes == {"TL204"}

    async def test_a_workflow_remembers_the_user_before(self, watched: Any, client: Any) -> None:
        shared = self.workflow(client)
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                await shared.run(f"I am {name}")
        assert watched.codes == {"TL201"}

    async def test_a_workflow_for_each(self, watched: Any, client: Any) -> None:
        async def chat(name: str) -> None:
            with requests.within(request(user_id=name)):
                async for _ in self.workflow(client).run(f"I am {name}", stream=True):
                    pass

        await asyncio.gather(*(chat(f"u{number}") for number in range(5)))
        assert watched.codes == set()

    def two_workflows(self, client: Any, *, shared: bool) -> Iterator[Any]:
        def executor(name: str) -> Any:
            return agent_framework.AgentExecutor(agent_framework.Agent(client=client, name=name))

        reviewer = executor("reviewer")
        for name in ("offers", "complaints"):
            first, last = executor(name), reviewer if shared else executor("reviewer")
            yield agent_framework.WorkflowBuilder(start_executor=first).add_edge(first, last).build()

    @pytest.mark.parametrize(("shared", "codes"), [(True, {"TL205"}), (False, set())])
    async def test_an_executor_of_two_workflows(
        self, watched: Any, client: Any, shared: bool, codes: set[str]
    ) -> None:
        selling, helping = self.two_workflows(client, shared=shared)
        await selling.run("an offer")
        await helping.run("a complaint")
        assert watched.codes == codes

    async def test_a_workflow_that_is_built_anew_around_its_executors(self, watched: Any, client: Any) -> None:
        executor = agent_framework.AgentExecutor(agent_framework.Agent(client=client, name="writer"))
        for text in ("one", "two"):
            await agent_framework.WorkflowBuilder(start_executor=executor).build().run(text)
        assert watched.codes == set()
