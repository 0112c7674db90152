"""Model clients: one connection pool whatever factories make, and retries in one place (TL302, TL305)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import AzureOpenAIChatCompletionClient, OpenAIChatCompletionClient

from turnlane.practice import Answer, Fault, ToolCall
from turnlane.runtime.agents import openai_client

pytestmark = pytest.mark.anyio

NO_PROC = not Path("/proc/self/fd").exists()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


class TestOnePool:
    @pytest.mark.skipif(NO_PROC, reason="counts /proc/self/fd, which Linux has")
    async def test_open_files_do_not_grow_over_200_runs(self, talk, client, provider):
        build = lambda: AssistantAgent("support", client())  # noqa: E731
        for _ in range(5):
            await talk(build).say("hello")
        before = open_files()
        for _ in range(200):
            await talk(build).say("hello")
        assert open_files() <= before
        assert provider.received == 205

    async def test_runs_one_after_the_other_use_one_connection(self, talk, client, connections):
        for _ in range(20):
            await talk(lambda: AssistantAgent("support", client(base_url=connections.base_url))).say("hello")
        assert connections.answered == 20
        assert connections.made == 1

    async def test_control_bare_clients_make_a_connection_each(self, connections):
        openai_client.uninstall()
        try:
            for _ in range(3):
                bare = OpenAIChatCompletionClient(
                    model="gpt-4o-mini", base_url=connections.base_url, api_key="practice"
                )
                await AssistantAgent("support", bare).run(task="hello")
                await bare.close()
        finally:
            openai_client.install()
        assert connections.made == 3

    async def test_the_tls_context_is_made_once(self, talk, client, monkeypatch):
        import ssl

        made: list[int] = []
        original = ssl.SSLContext.load_verify_locations

        def counted(self: Any, *args: Any, **options: Any) -> Any:
            made.append(1)
            return original(self, *args, **options)

        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
        for _ in range(10):
            await talk(lambda: AssistantAgent("support", client())).say("hello")
        assert len(made) <= 1

    async def test_closing_a_client_does_no_harm_to_others(self, talk, client, provider):
        closing = client()

        async def close_it() -> str:
            """Close the client, as a careful user does."""
            await closing.close()
            return "closed"

        def script(request):
            if request.tool_results or not request.tools:
                return "fine"
            return Answer(tool_calls=[ToolCall("close_it")])

        provider.use(script)
        conversation = talk(lambda: AssistantAgent("support", closing, tools=[close_it], reflect_on_tool_use=True))
        assert (await conversation.say("close")).answer == "fine"
        assert (await conversation.say("close again")).answer == "fine"
        assert (await talk(lambda: AssistantAgent("other", client())).say("hello")).answer == "fine"

    async def test_a_client_as_a_context_manager_does_no_harm_to_others(self, talk, client, provider):
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="practice") as sdk:
            await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        assert (await talk(lambda: AssistantAgent("other", client())).say("hello")).answer == "heard: hello"

    async def test_azure_too(self, talk, provider):
        def build():
            model = AzureOpenAIChatCompletionClient(
                model="gpt-4o-mini",
                azure_deployment="mine",
                azure_endpoint=provider.origin,
                api_version="2024-10-21",
                api_key="practice",
            )
            assert isinstance(openai_client.http_client_of(model), openai_client.SharedHttpClient)
            return AssistantAgent("support", model)

        # The practice provider has no Azure paths: that it was asked and said 404 is enough here.
        ended = await talk(build).fail("hello")
        assert ended.failure.kind == "provider"
        assert "404" in ended.failure.message

    async def test_a_client_made_at_import_works_in_every_loop(self, provider):
        """TL112: also through several `asyncio.run`, as in tests and scripts."""
        openai_client.install()
        sdk = openai.AsyncOpenAI(base_url=provider.base_url, api_key="practice")

        async def ask() -> None:
            await sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
            await openai_client.close()

        def in_loops_of_their_own() -> None:
            for _ in range(3):
                asyncio.run(ask())

        await asyncio.to_thread(in_loops_of_their_own)
        assert provider.received == 3


class TestTheUsersOwnHttpClient:
    async def test_is_used_and_not_closed(self, talk, provider):
        asked: list[str] = []

        async def note(request: Any) -> None:
            asked.append(str(request.url))

        own = openai_client.httpx.AsyncClient(event_hooks={"request": [note]})
        for _ in range(3):
            await talk(
                lambda: AssistantAgent(
                    "support",
                    OpenAIChatCompletionClient(
                        model="gpt-4o-mini", base_url=provider.base_url, api_key="practice", http_client=own
                    ),
                )
            ).say("hello")
        assert len(asked) == 3
        assert not own.is_closed
        await own.aclose()

    async def test_made_afresh_for_each_turn_is_closed_when_it_is_dropped(self, talk, provider):
        closed: list[str] = []

        class Own(openai_client.httpx.AsyncClient):  # type: ignore[name-defined, misc]
            async def aclose(self) -> None:
                closed.append("own")
                await super().aclose()

        def build():
            return AssistantAgent(
                "support",
                OpenAIChatCompletionClient(
                    model="gpt-4o-mini", base_url=provider.base_url, api_key="practice", http_client=Own()
                ),
            )

        await talk(build).say("hello")
        import gc

        gc.collect()
        with anyio.fail_after(5):
            while not closed:
                await anyio.sleep(0.005)
        assert closed == ["own"]


class TestRetriesInOnePlace:
    @pytest.mark.parametrize("own", [None, 0, 5], ids=["default", "none", "five"])
    async def test_the_sdk_does_not_retry_below_the_boundary(self, talk, client, provider, own):
        options = {} if own is None else {"max_retries": own}
        provider.use(lambda request: Fault("server_error"))
        conversation = talk(lambda: AssistantAgent("support", client(**options)))
        conversation.boundary.max_tries = 2
        ended = await conversation.fail("hello")
        assert provider.received == 2
        assert ended.usage.retries == 1
        assert ended.failure.retryable

    async def test_a_client_of_a_tool_s_own_keeps_its_retries(self, talk, client, provider):
        """Nobody retries above it, so nothing multiplies."""
        failed: list[bool] = []

        def build():
            async def ask() -> str:
                """Ask a model by a client of the tool's own."""
                sdk = openai.AsyncOpenAI(base_url=provider.base_url, api_key="practice", max_retries=1)
                answer = await sdk.chat.completions.create(
                    model="m", messages=[{"role": "system", "content": "inner"}, {"role": "user", "content": "x"}]
                )
                return str(answer.choices[0].message.content)

            return AssistantAgent("support", client(), tools=[ask], reflect_on_tool_use=True)

        def script(request):
            if request.system == "inner" and not failed:
                failed.append(True)
                return Fault("server_error")
            if request.system == "inner":
                return "at the second try"
            return "done" if request.tool_results else Answer(tool_calls=[ToolCall("ask")])

        provider.use(script)
        ended = await talk(build).say("go")
        assert ended.items("tool")[0]["output"] == "at the second try"


FIRST_TURN = """
import asyncio, sys
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel
from turnlane.practice import PracticeProvider
from turnlane.runtime.agent import Run
from turnlane.runtime.agents import openai_client
from turnlane.runtime.agents.agentchat import AgentchatAdapter
from turnlane.runtime.conversation import Claim, Turn
from turnlane.runtime.model import ModelBoundary
from turnlane.testing.turns import Talk

class Mood(BaseModel):
    mood: str

def trial_run():
    turn = Turn("resp_trial", "conv_trial", "agent", "", 0, "running", 1, ())
    return Run(Claim(turn, None), "agent", lambda event: None, ModelBoundary())

async def main(base_url):
    adapter = AgentchatAdapter()
    await adapter.warm_up()

    def agent(**options):
        client = OpenAIChatCompletionClient(model="gpt-4o-mini", base_url=base_url, api_key="practice")
        return AssistantAgent("support", client, **options)

    # As the worker does at its start, an agent is built for a run that never begins.
    adapter.prepare(agent(output_content_type=Mood), trial_run())
    before, pool = set(sys.modules), openai_client._transport._pool()
    for options in ({"model_client_stream": True}, {"output_content_type": Mood}):
        ended = await Talk(adapter, lambda: agent(**options)).say("hello")
        assert "calm" in ended.answer
    assert openai_client._transport._pool() is pool
    print(*sorted(set(sys.modules) - before))
    await adapter.close()

with PracticeProvider.in_thread(lambda request: '{"mood": "calm"}') as provider:
    asyncio.run(main(provider.base_url))
"""


def test_after_the_warm_up_the_first_turns_import_nothing() -> None:
    """Imports, types and TLS of the HTTP and openai packages block the loop for 0.1 to 0.3 s (TL108)."""
    done = subprocess.run([sys.executable, "-c", FIRST_TURN], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    late = {name.partition(".")[0] for name in done.stdout.split()}
    assert not late & {"openai", "httpx", "httpx2", "httpcore", "httpcore2", "anyio", "h11", "ssl"}
