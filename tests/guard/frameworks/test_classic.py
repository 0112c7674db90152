"""The guard on classic AutoGen, in the environment that has it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

autogen = pytest.importorskip("autogen", reason="runs in an environment of its own: test_environments.py")

from autogen.events.agent_events import TextEvent  # noqa: E402

from turnlane.guard import requests  # noqa: E402
from turnlane.guard.requests import Request  # noqa: E402
from turnlane.practice import PracticeProvider, Rule, ToolCall  # noqa: E402

pytestmark = pytest.mark.anyio

RULES = [
    Rule(when="look up", call=[ToolCall("look_up", {"key": "P-404"})], say="looked up"),
    Rule(when="broken", fault="unauthorized"),
    Rule(say="hello TERMINATE", latency=0.05),
]


NUMBERS: dict[str, int] = {}
PAIRS: dict[str, tuple[Any, Any]] = {}


@pytest.fixture
def llm() -> Iterator[dict[str, Any]]:
    with PracticeProvider.in_thread(RULES) as provider:
        model = {"model": "gpt-4o", "api_key": "practice", "base_url": provider.base_url}
        yield {"config_list": [model], "cache_seed": None}


def assistant(llm: dict[str, Any], name: str = "support") -> Any:
    return autogen.AssistantAgent(name, llm_config=llm)


def user(name: str = "user", **options: Any) -> Any:
    said = {"human_input_mode": "NEVER", "code_execution_config": False, "max_consecutive_auto_reply": 0}
    return autogen.UserProxyAgent(name, **{**said, **options})


def request(**keys: str) -> Request:
    return Request("test", "POST /chat", keys=keys)


class TestChats:
    async def test_two_requests_chat_with_one_pair_at_once(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()

        async def chat(text: str) -> None:
            with requests.within(request(user_id=text)):
                await person.a_initiate_chat(support, message=text, silent=True)

        await asyncio.gather(*(chat(f"I am {number}") for number in range(3)), return_exceptions=True)
        hazard = watched.hazard("TL201")
        assert "UserProxyAgent 'user' and AssistantAgent 'support'" in hazard["message"]
        assert hazard["place"]["function"].endswith("chat")
        assert [stack["title"].split(":")[0] for stack in hazard["stacks"]][:2] == ["the first run", "this run"]
        assert "assistant" in str(hazard["stacks"][2])

    async def test_two_chats_of_one_conversation_overlap(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        with requests.within(request(conversation_id="7")):
            chats = [person.a_initiate_chat(support, message=text, silent=True) for text in ("one", "two")]
            await asyncio.gather(*chats, return_exceptions=True)
        assert watched.codes == {"TL204"}

    def test_two_threads_chat_with_one_pair_at_once(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person, both = assistant(llm), user(), threading.Barrier(2)

        def chat() -> None:
            with requests.within(request()):
                person.initiate_chat(support, message=lambda *_: f"hi {both.wait(30)}", silent=True)

        in_threads(chat, chat)
        assert watched.codes == {"TL201"}

    def test_a_kept_history_meets_the_next_user(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                person.initiate_chat(support, message=f"I am {name}", clear_history=False, silent=True)
        assert watched.codes == {"TL201"}

    def test_a_cleared_history_meets_nobody(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        for name in ("ann", "bob", "broken"):
            with requests.within(request(user_id=name)):
                person.initiate_chat(support, message=f"I am {name}" if name != "broken" else "hi", silent=True)
        assert watched.codes == set()

    def test_pairs_kept_by_a_name_that_nobody_knows(self, watched: Any, llm: dict[str, Any]) -> None:
        for turn in range(2):
            for name in ("ann", "bob"):
                with requests.within(request()):
                    support, person = PAIRS.setdefault(name, (assistant(llm), user()))
                    person.initiate_chat(support, message=f"{name} {turn}", clear_history=False, silent=True)
                if turn == 0 and name == "ann":
                    PAIRS["cleo"] = (assistant(llm), user())
        PAIRS.clear()
        assert watched.codes == set()

    def test_after_a_reset_nothing_is_left(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                support.reset()
                person.reset()
                person.initiate_chat(support, message=f"I am {name}", clear_history=False, silent=True)
        assert watched.codes == set()

    async def test_everybody_brings_a_partner_and_an_agent_of_their_own(
        self, watched: Any, llm: dict[str, Any]
    ) -> None:
        async def chat(text: str) -> None:
            with requests.within(request(user_id=text)):
                await user().a_initiate_chat(assistant(llm), message=text, silent=True)

        await asyncio.gather(*(chat(f"I am {number}") for number in range(20)))
        assert watched.codes == set()

    async def test_replies_to_histories_that_are_brought_along(self, watched: Any, llm: dict[str, Any]) -> None:
        support = assistant(llm)

        async def reply(text: str) -> None:
            with requests.within(request(user_id=text)):
                await support.a_generate_reply(messages=[{"role": "user", "content": text}])

        await asyncio.gather(*(reply(f"I am {number}") for number in range(5)))
        assert watched.codes == set()

    def test_the_chat_of_run_is_shown_where_run_was_called(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        answers = [person.run(support, message="hi", clear_history=True) for _ in range(2)]
        for answer in answers:
            answer.process()
        assert watched.codes == {"TL204"}
        assert watched.hazard("TL204")["place"]["file"] == __file__

    def test_continuing_by_sending(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        for _ in range(2):
            with requests.within(request(session_id="s")):
                person.send("hi", support, request_reply=True, silent=True)
        assert watched.codes == set()
        with requests.within(request(session_id="t")):
            person.send("hi", support, request_reply=True, silent=True)
        assert watched.codes == {"TL201"}


class TestGroups:
    def group(self, llm: dict[str, Any], agents: list[Any] | None = None) -> Any:
        agents = agents or [assistant(llm, "writer"), assistant(llm, "critic")]
        chat = autogen.GroupChat(agents, messages=[], max_round=3, speaker_selection_method="round_robin")
        return autogen.GroupChatManager(chat, llm_config=llm, is_termination_msg=lambda _: False)

    def test_a_shared_manager_with_users_of_their_own(self, watched: Any, llm: dict[str, Any]) -> None:
        manager, both = self.group(llm), threading.Barrier(2)

        def chat() -> None:
            with requests.within(request()):
                user().initiate_chat(manager, message=lambda *_: f"hi {both.wait(30)}", silent=True)

        in_threads(chat, chat)
        assert watched.codes == {"TL201"}

    def test_a_group_for_everybody(self, watched: Any, llm: dict[str, Any]) -> None:
        def chat() -> None:
            with requests.within(request()):
                user().initiate_chat(self.group(llm), message="hi", silent=True)

        in_threads(chat, chat)
        assert watched.codes == set()

    async def test_a_group_in_async(self, watched: Any, llm: dict[str, Any]) -> None:
        async def chat() -> None:
            with requests.within(request()):
                await user().a_initiate_chat(self.group(llm), message="hi", silent=True)

        await asyncio.gather(*(chat() for _ in range(3)))
        assert watched.codes == set()

    def test_nested_chats_and_queues_of_chats(self, watched: Any, llm: dict[str, Any]) -> None:
        outer, inner, person = assistant(llm, "outer"), assistant(llm, "inner"), user()
        outer.register_nested_chats(
            [{"recipient": inner, "message": "and you?", "max_turns": 1, "silent": True}], trigger=person
        )
        with requests.within(request()):
            person.initiate_chat(outer, message="hi", max_turns=1, silent=True)
            person.initiate_chats(
                [
                    {"recipient": agent, "message": "hi", "max_turns": 1, "silent": True}
                    for agent in (assistant(llm), assistant(llm, "other"))
                ]
            )
        assert watched.codes == set()


class TestPatterns:
    def pattern(self, llm: dict[str, Any]) -> Any:
        from autogen.agentchat.group.patterns import RoundRobinPattern  # type: ignore[import-not-found]

        crew = [autogen.ConversableAgent(name, llm_config=llm) for name in ("teacher", "planner")]
        return RoundRobinPattern(initial_agent=crew[0], agents=crew)

    def chat(self, pattern: Any) -> None:
        from autogen.agentchat import initiate_group_chat  # type: ignore[import-not-found]

        with requests.within(request()):
            initiate_group_chat(pattern=pattern, messages="plan", max_rounds=3)

    def test_agents_of_one_pattern_for_two_users_at_once(self, watched: Any, llm: dict[str, Any]) -> None:
        shared = self.pattern(llm)
        in_threads(lambda: self.chat(shared), lambda: self.chat(shared))
        assert watched.codes == {"TL201"}

    def test_a_pattern_for_each(self, watched: Any, llm: dict[str, Any]) -> None:
        in_threads(lambda: self.chat(self.pattern(llm)), lambda: self.chat(self.pattern(llm)))
        assert watched.codes == set()


class TestHistories:
    def test_one_list_for_everybody(self, watched: Any, llm: dict[str, Any]) -> None:
        history: list[dict[str, str]] = []
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                history.append({"role": "user", "content": f"I am {name}"})
                assistant(llm).generate_reply(messages=history)
        assert watched.codes == {"TL202"}
        assert "list of messages" in watched.hazard("TL202")["object"]

    def test_a_list_for_each_kept_by_a_name_that_nobody_knows(self, watched: Any, llm: dict[str, Any]) -> None:
        histories: dict[str, list[dict[str, str]]] = {}
        for _ in range(2):
            for name in ("ann", "bob"):
                with requests.within(request()):
                    histories.setdefault(name, []).append({"role": "user", "content": f"I am {name}"})
                    assistant(llm).generate_reply(messages=histories[name])
        assert watched.codes == set()

    def test_one_list_in_the_groups_of_everybody(self, watched: Any, llm: dict[str, Any]) -> None:
        history: list[dict[str, str]] = []
        for name in ("ann", "bob"):
            with requests.within(request(user_id=name)):
                group = autogen.GroupChat(
                    [assistant(llm, "a"), assistant(llm, "b")], messages=history, max_round=2
                )
                manager = autogen.GroupChatManager(group, llm_config=llm)
                user().initiate_chat(manager, message=f"I am {name}", clear_history=False, silent=True)
        assert watched.codes == {"TL203"}


class TestModes:
    async def test_both_modes_in_one_request(self, watched: Any, llm: dict[str, Any]) -> None:
        with requests.within(request()):
            user().initiate_chat(assistant(llm), message="hi", silent=True)
            await user().a_initiate_chat(assistant(llm), message="hi", silent=True)
        assert "TL107" in watched.codes
        assert "a_initiate_chat" in watched.hazard("TL107")["message"]

    async def test_a_thread_for_the_sync_form_is_no_mix(self, watched: Any, llm: dict[str, Any]) -> None:
        with requests.within(request()):
            await user().a_initiate_chat(assistant(llm), message="hi", silent=True)
            await asyncio.to_thread(user().initiate_chat, assistant(llm), message="hi", silent=True)
        assert watched.codes == set()

    async def test_await_before_the_sync_form(self, watched: Any, llm: dict[str, Any]) -> None:
        with pytest.raises(TypeError):
            await user().initiate_chat(assistant(llm), message="hi", silent=True)
        assert watched.hazard("TL109")["place"]["function"] == "TestModes.test_await_before_the_sync_form"

    async def test_a_chat_that_nobody_awaits(self, watched: Any, llm: dict[str, Any]) -> None:
        import gc

        user().a_initiate_chat(assistant(llm), message="hi", silent=True)
        gc.collect()
        assert watched.codes == {"TL106"}


class TestReadersOfEvents:
    """`run` and its like let a chat go on elsewhere, and give its events."""

    async def over(self) -> None:
        """Wait until the chats have ended that nobody reads."""
        for thread in threading.enumerate():
            if thread.name.endswith(("(initiate_chat)", "(run_in_thread)")):
                await asyncio.to_thread(thread.join)
        for task in asyncio.all_tasks():
            if getattr(task.get_coro(), "__name__", "") == "initiate_chat":
                await task

    async def test_a_reader_who_leaves_a_chat(self, watched: Any, llm: dict[str, Any]) -> None:
        pro, contra = assistant(llm, "pro"), assistant(llm, "contra")
        async for event in pro.a_run_iter(contra, message="hello", max_turns=3, yield_on=[TextEvent]):
            if event.content.sender == "contra":
                break
        await self.over()
        assert watched.codes == {"TL502"}

    def test_a_reader_who_leaves_a_chat_in_a_thread(self, watched: Any, llm: dict[str, Any]) -> None:
        pro, contra = assistant(llm, "pro"), assistant(llm, "contra")
        for event in pro.run_iter(contra, message="hello", max_turns=3, yield_on=[TextEvent]):
            if event.content.sender == "contra":
                break
        asyncio.run(self.over())
        assert watched.codes == {"TL502"}

    async def test_a_deadline_of_the_reader(self, watched: Any, llm: dict[str, Any]) -> None:
        pro, contra = assistant(llm, "pro"), assistant(llm, "contra")
        response = await pro.a_run(contra, message="hello", max_turns=3)

        async def read() -> None:
            async for event in response.events:
                if isinstance(event, TextEvent) and event.content.sender == "contra":
                    asyncio.current_task().cancel()  # type: ignore[union-attr]

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(read())
        await self.over()
        assert watched.codes == {"TL503"}

    async def test_a_reader_who_comes_back(self, watched: Any, llm: dict[str, Any]) -> None:
        pro, contra = assistant(llm, "pro"), assistant(llm, "contra")
        response = await pro.a_run(contra, message="hello", max_turns=3)
        async for event in response.events:
            if isinstance(event, TextEvent):
                break
        async for _ in response.events:
            pass
        assert watched.hazards == []

    @pytest.mark.parametrize("guard_settings", [{"threshold": 0.05}])
    async def test_a_reader_who_takes_his_time(self, watched: Any, llm: dict[str, Any]) -> None:
        pro, contra = assistant(llm, "pro"), assistant(llm, "contra")
        async for _ in pro.a_run_iter(contra, message="hello", max_turns=1, yield_on=[TextEvent]):
            await asyncio.sleep(0.5)  # longer than the framework's thread may seem to block
        assert watched.hazards == []

    async def test_a_reader_who_leaves_at_the_last_word(self, watched: Any, llm: dict[str, Any]) -> None:
        pro, contra = assistant(llm, "pro"), assistant(llm, "contra")
        async for event in pro.a_run_iter(contra, message="hello", max_turns=1, yield_on=[TextEvent]):
            if event.content.sender == "contra":
                break
        await self.over()
        assert watched.hazards == []


class TestTools:
    def pair(self, llm: dict[str, Any], tool: Any) -> tuple[Any, Any]:
        support = assistant(llm)
        person = user(max_consecutive_auto_reply=1)
        autogen.register_function(tool, caller=support, executor=person, name="look_up", description="Look up.")
        return support, person

    def test_a_tool_raises(self, watched: Any, llm: dict[str, Any]) -> None:
        def look_up(key: str) -> str:
            return {"P-1": "ok"}[key]

        support, person = self.pair(llm, look_up)
        result = person.initiate_chat(support, message="look up", silent=True)
        assert "Error: 'P-404'" in str(result.chat_history)
        hazard = watched.hazard("TL401")
        assert hazard["place"]["function"].endswith("look_up")
        assert hazard["measures"]["exception"] == "KeyError"
        assert "user" in hazard["object"]

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_an_async_tool_raises(self, watched: Any, llm: dict[str, Any], asynchronous: bool) -> None:
        async def look_up(key: str) -> str:
            await asyncio.sleep(0)
            return {"P-1": "ok"}[key]

        support, person = self.pair(llm, look_up)
        if asynchronous:
            await person.a_initiate_chat(support, message="look up", silent=True)
        else:
            await asyncio.to_thread(person.initiate_chat, support, message="look up", silent=True)
        assert watched.codes == {"TL401"}

    def test_two_calls_at_once_change_one_number(self, watched: Any, llm: dict[str, Any]) -> None:
        def look_up(key: str) -> str:
            number = NUMBERS[key]
            both.wait(10)
            NUMBERS[key] = number + 1
            return str(number)

        def chat() -> None:
            with requests.within(request()):
                support, person = self.pair(llm, look_up)
                person.initiate_chat(support, message="look up", silent=True)

        NUMBERS["P-404"] = 0
        both = threading.Barrier(2)
        in_threads(chat, chat)
        assert watched.codes == {"TL403"}

    def test_a_good_tool_and_the_map_that_it_is_in(self, watched: Any, llm: dict[str, Any]) -> None:
        def look_up(key: str) -> str:
            return "found"

        person = user(function_map={"look_up": look_up})
        assert person.function_map["look_up"] is look_up
        assert person.function_map.get("look_up") is look_up
        assert person.execute_function({"name": "look_up", "arguments": '{"key": "a"}'})[1]["content"] == "found"
        assert watched.codes == set()

    def test_a_tool_asks_the_agent_that_called_it(self, watched: Any, llm: dict[str, Any]) -> None:
        def look_up(key: str) -> str:
            answer = user("inner").initiate_chat(support, message=f"what is {key}?", silent=True)
            return str(answer.summary)

        support, person = self.pair(llm, look_up)
        person.initiate_chat(support, message="look up", silent=True)
        hazard = watched.hazard("TL402")
        assert hazard["measures"]["depth"] == 1
        assert "look_up" in hazard["message"]

    def test_a_tool_chats_with_its_own_pair(self, watched: Any, llm: dict[str, Any]) -> None:
        def look_up(key: str) -> str:
            return str(person.initiate_chat(support, message="again", clear_history=False, silent=True).summary)

        support, person = self.pair(llm, look_up)
        with contextlib.suppress(
            Exception
        ):  # 400: an assistant message with tool calls must be followed by results
            person.initiate_chat(support, message="look up", silent=True)
        assert "TL402" in watched.codes

    def test_a_tool_asks_an_expert(self, watched: Any, llm: dict[str, Any]) -> None:
        def look_up(key: str) -> str:
            return str(person.initiate_chat(expert, message=key, silent=True).summary)

        expert = assistant(llm, "expert")
        support, person = self.pair(llm, look_up)
        person.initiate_chat(support, message="look up", silent=True)
        assert watched.codes == set()


class TestFailures:
    def test_a_failed_chat_names_the_agent(self, watched: Any, llm: dict[str, Any]) -> None:
        with requests.within(request()) as mine, pytest.raises(Exception, match="401"):
            user().initiate_chat(assistant(llm), message="broken", silent=True)
        first = next(record for record in watched.of_kind("failure") if record["first"])
        assert first["request"] == mine.id
        assert first["agent"] == "AssistantAgent 'support'"
        assert first["exception"]["type"].startswith("openai.")

    def test_a_cleared_pair_may_be_used_after_a_failure(self, watched: Any, llm: dict[str, Any]) -> None:
        support, person = assistant(llm), user()
        with pytest.raises(Exception, match="401"):
            person.initiate_chat(support, message="broken", silent=True)
        person.initiate_chat(support, message="hi", silent=True)
        assert watched.codes == set()


def in_threads(*functions: Any) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
