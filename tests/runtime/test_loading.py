"""What is found in a user's file, and what is said when nothing is, or when the file is wrong."""

from __future__ import annotations

import asyncio
import re
import sys
import textwrap
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from turnlane.runtime import versions
from turnlane.runtime.app import App, AppError
from turnlane.runtime.loading import Target, load_app, parse_target
from turnlane.runtime.versions import check_versions

Write = Callable[..., str]

AGENT = """
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.tools import FunctionTool
from autogen_ext.models.replay import ReplayChatCompletionClient

def new_agent():
    return AssistantAgent("a", ReplayChatCompletionClient(["hi"]))
new_agent.__module__ = "elsewhere"
"""

OWN_LOOP = (
    "with __import__('contextlib').closing(asyncio.new_event_loop()) as loop: loop.run_until_complete(m())\n"
)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file and returns its path; forgets its module and its folder after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def write(text: str, name: str = "shop.py") -> str:
        (tmp_path / name).write_text(textwrap.dedent(text))
        return str(tmp_path / name)

    yield write
    for name, module in list(sys.modules.items()):
        if name not in before and str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def complaint(*targets: str) -> str:
    with pytest.raises(AppError) as caught:
        load_app(targets)
    return str(caught.value)


# --- what is found ---


def test_named_function_is_an_agent_of_its_name(write: Write) -> None:
    app = load_app([write("def support(): ...\ndef other(): ...") + ":support"])
    assert list(app.agents) == ["support"]


def test_functions_that_say_they_return_an_agent_are_agents_and_others_are_not(write: Write) -> None:
    file = write(AGENT + """
def one() -> AssistantAgent: ...
async def two() -> RoundRobinGroupChat: ...
def tool(order_id: str) -> str: ...
def a_tool() -> FunctionTool: ...
def helper(client: object) -> AssistantAgent: ...
def _private() -> AssistantAgent: ...
async def main() -> None: ...
""")  # fmt: skip
    assert list(load_app([file]).agents) == ["one", "two"]


def test_annotations_may_be_text_also_of_names_for_type_checkers_only(write: Write) -> None:
    file = write("""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from autogen_agentchat.teams import Swarm
        if TYPE_CHECKING:
            from autogen_agentchat.agents import AssistantAgent

        def known() -> Swarm: ...
        def unknown() -> AssistantAgent: ...
        def number() -> int: ...
        """)
    assert list(load_app([file]).agents) == ["known", "unknown"]


def test_class_of_the_user_made_from_an_agent_counts(write: Write) -> None:
    file = write("""
        from autogen_agentchat.agents import BaseChatAgent
        class Mine(BaseChatAgent): ...
        def make() -> Mine: ...
        """)
    assert list(load_app([file]).agents) == ["make"]


def test_single_function_without_annotation_is_taken(write: Write) -> None:
    app = load_app([write("def support(): ...\ndef tool(order: str) -> str: ...\ndef main(): ...")])
    assert list(app.agents) == ["support"]


def test_the_only_app_of_a_file_is_taken_also_under_two_names(write: Write) -> None:
    file = write("""
        from turnlane import App
        app = application = App()
        @app.agent(deadline=5)
        def a(): ...
        def not_an_agent(): ...
        """)
    app = load_app([file])
    assert list(app.agents) == ["a"]
    assert app.agents["a"].settings.deadline == 5
    assert load_app([f"{file}:app"]) is app


def test_module_is_found_in_the_current_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("def support(): ...", "the_shop_module.py")
    monkeypatch.chdir(tmp_path)
    assert list(load_app(["the_shop_module:support"]).agents) == ["support"]
    assert list(load_app(["the_shop_module"]).agents) == ["support"]


def test_neighbours_of_the_file_can_be_imported_and_see_the_same_module(write: Write) -> None:
    write("import the_shop\nseen = the_shop", "the_neighbour.py")
    file = write("def support(): ...\ndef test() -> int:\n    import the_neighbour\n    return the_neighbour.seen",
                 "the_shop.py")  # fmt: skip
    load_app([file])
    module = sys.modules["the_shop"]
    assert module.test() is module


@pytest.mark.parametrize("name", ["openai", "queue"])
def test_file_that_would_hide_a_package_is_refused(write: Write, name: str) -> None:
    file = write("def support(): ...", f"{name}.py")
    assert f"the name of the package '{name}'" in complaint(file)
    assert str(Path(file).parent) not in sys.path


def test_files_of_one_name_in_two_folders_are_two_modules(write: Write, tmp_path: Path) -> None:
    one = write("def support(): return 1")
    (tmp_path / "other").mkdir()
    two = write("def support(): return 2", "other/shop.py")
    factories = [load_app([file]).agents["support"].factory for file in (one, two, one)]
    assert [factory() for factory in factories] == [1, 2, 1]


def test_main_part_never_runs(write: Write) -> None:
    load_app([write("def support(): ...\nif __name__ == '__main__':\n    raise SystemExit(9)")])


def test_targets_are_merged(write: Write) -> None:
    one = write("def a(): ...\ndef b(): ...", "one.py")
    two = write("from turnlane import App\napp = App(resources=lambda: None)\n@app.agent\ndef c(): ...", "two.py")
    app = load_app([f"{one}:a", f"{one}:b", two])
    assert list(app.agents) == ["a", "b", "c"]
    assert app.resources is not None


@pytest.mark.parametrize(
    ("text", "place", "name", "is_file"),
    [
        ("a.py", "a.py", None, True),
        ("a.py:f", "a.py", "f", True),
        ("pkg.mod", "pkg.mod", None, False),
        ("pkg.mod:f", "pkg.mod", "f", False),
        (r"C:\x\a.py", r"C:\x\a.py", None, True),
        (r"C:\x\a.py:f", r"C:\x\a.py", "f", True),
    ],
)
def test_target_is_parsed(text: str, place: str, name: str | None, is_file: bool) -> None:
    target = parse_target(text)
    assert target == Target(text, place, name)
    assert target.is_file is is_file


# --- what is said ---


def test_nothing_given() -> None:
    assert "turnlane serve my_agents.py" in complaint()


def test_no_such_file_names_its_neighbours(write: Write) -> None:
    write("", "agents.py")
    assert "there are agents.py" in complaint(write("", "x.py").replace("x.py", "agent.py"))


def test_no_such_module_names_the_file_that_was_meant(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "given with .py" in complaint("nothing_here_at_all")


def test_no_such_name_tells_what_to_type(write: Write) -> None:
    file = write("def support(): ...")
    assert f"turnlane serve {file}:support" in complaint(f"{file}:suport")


def test_several_functions_tell_what_to_type(write: Write) -> None:
    file = write("def a(): ...\ndef b(): ...")
    text = complaint(file)
    assert f"turnlane serve {file}:a or turnlane serve {file}:b" in text
    assert "or annotate the one that returns the agent: def NAME() -> AssistantAgent:" in text


def test_several_apps_tell_what_to_type(write: Write) -> None:
    file = write("from turnlane import App\na = App()\nb = App()")
    assert f"turnlane serve {file}:a or turnlane serve {file}:b" in complaint(file)


def test_empty_file_shows_what_to_write(write: Write) -> None:
    assert "def support() -> AssistantAgent:" in complaint(write("x = 1"))


def test_file_that_only_runs_its_agent_is_told_to_return_it(write: Write) -> None:
    says = "main() runs its agent itself; move the lines that make it into a function that returns it"
    assert says in complaint(write("async def main() -> None: ..."))
    assert says not in complaint(write("def helper(x) -> int: ...", "other.py"))


@pytest.mark.parametrize("lines", ["client = AsyncOpenAI()", "def make(): ...\nAsyncOpenAI(api_key=None)"])
def test_missing_key_of_a_client_made_at_import_tells_of_practice(
    write: Write, monkeypatch: pytest.MonkeyPatch, lines: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    text = complaint(write(f"from openai import AsyncOpenAI\n{lines}"))
    assert "OPENAI_API_KEY" in text
    assert text.endswith("; or try it without a key: --practice")


def test_agent_object_shows_the_factory_for_that_very_variable(write: Write) -> None:
    file = write(AGENT + "support = new_agent()\nteam = RoundRobinGroupChat([support])\n")
    for text in (complaint(file), complaint(f"{file}:support")):
        assert "TL201" in text
        assert "def make_support() -> AssistantAgent:" in text
        assert f"turnlane serve {file}:make_support" in text


def test_class_shows_the_factory_for_it(write: Write) -> None:
    assert "def assistantagent() -> AssistantAgent:" in complaint(write(AGENT) + ":AssistantAgent")


def test_value_that_is_no_factory(write: Write) -> None:
    assert "is a int; it must be an App" in complaint(write("x = 1") + ":x")


def test_two_agents_of_one_name(write: Write) -> None:
    one, two = write("def a(): ...", "one.py"), write("def a(): ...", "two.py")
    assert "two of the targets have an agent 'a'" in complaint(one, two)


def test_two_sets_of_resources(write: Write) -> None:
    text = "from turnlane import App\napp = App(resources=lambda: None)"
    assert "have resources" in complaint(write(text, "one.py"), write(text, "two.py"))


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("def f(:\n", 1, "invalid syntax"),
        ("x = 1\nimport nothing_at_all_here\n", 2, "nothing_at_all_here is not installed"),
        ("\n1 / 0\n", 2, r"ZeroDivisionError: division by zero \(in: 1 / 0\)"),
        ("def f():\n    raise KeyError('k')\nf()\n", 2, "KeyError: 'k'"),
        ("from os import nothing\n", 1, "ImportError: cannot import name"),
        ("import sys\nsys.exit(3)\n", 2, "ends the program when it is imported"),
        ("import asyncio\nasync def m(): ...\nasyncio.run(m())\n", 3, "TL113"),
        ("import asyncio\nasync def m(): ...\n" + OWN_LOOP, 3, "TL113"),
        ("from turnlane import App\napp = App()\napp.add(lambda: 1, name='a b')\n", 3, "can't be an agent's name"),
    ],
)
def test_mistake_in_the_file_names_its_line(write: Write, text: str, line: int, expected: str) -> None:
    file = write(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that is complained about a second time
        said = complaint(file)
    assert said.startswith(f"{file}:{line}: ")
    assert re.search(expected, said)
    assert "\n" not in said


def test_mistake_is_told_in_the_same_way_inside_a_running_loop(write: Write) -> None:
    file = write("import asyncio\nasync def m(): ...\nasyncio.run(m())\n")

    async def main() -> str:
        return complaint(file)

    assert "TL113" in asyncio.run(main())


def test_missing_framework_names_the_extra(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("autogen_agentchat", "autogen_agentchat.agents"):
        monkeypatch.setitem(sys.modules, name, None)
    said = complaint(write("from autogen_agentchat.agents import AssistantAgent\n"))
    assert "pip install 'turnlane[agentchat]'" in said


def test_file_can_be_loaded_after_its_mistake_was_mended(write: Write) -> None:
    complaint(write("1 / 0"))
    assert isinstance(load_app([write("def support(): ...")]), App)


# --- versions ---


def test_installed_packages_are_right() -> None:
    check_versions()


def test_nothing_installed_is_right() -> None:
    check_versions(lambda package: None)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            {"autogen-core": "0.7.5", "autogen-ext": "0.6.1"},
            "autogen-core 0.7.5, autogen-ext 0.6.1 are of different",
        ),
        ({"autogen-core": "0.7.5", "autogen-ext": "0.6.1"}, "'autogen-ext==0.7.5'"),
        ({"autogen-agentchat": "0.2.40"}, "autogen-agentchat 0.2.40 is not supported"),
        ({"openai": "1.92.0"}, "openai 1.92.0 is not supported"),
        ({"openai": "4.0.0"}, "openai 4.0.0 is not supported"),
    ],
)
def test_packages_that_do_not_belong_together(found: dict[str, str], expected: str) -> None:
    with pytest.raises(AppError, match="TL601") as caught:
        check_versions(found.get)
    assert expected in str(caught.value)


def test_versions_are_those_that_the_package_asks_for() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["agentchat"]
    low, high = versions.OPENAI_RANGE
    assert f"openai>={low[0]}.{low[1]},<{high[0]}" in extra
    major, minor = versions.AUTOGEN_RELEASE
    assert f"autogen-core>={major}.{minor},<{major}.{minor + 1}" in extra


LIMITED = (
    "from turnlane import App, ProviderLimits\n"
    "app = App(limits={{'p': ProviderLimits(concurrency={most})}})\n"
    "@app.agent\ndef {name}(): ..."
)


def test_limits_of_several_targets_are_merged(write: Write) -> None:
    one = write(LIMITED.format(most=3, name="a"), "one.py")
    two = write(LIMITED.format(most=3, name="b"), "two.py")
    assert load_app([one, two]).limits["p"].concurrency == 3


def test_two_limits_of_one_provider(write: Write) -> None:
    one = write(LIMITED.format(most=3, name="a"), "one.py")
    two = write(LIMITED.format(most=4, name="b"), "two.py")
    assert "different limits for 'p'" in complaint(one, two)
