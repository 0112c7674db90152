"""What a user declares, and what he is told when it is not right."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from turnlane import App
from turnlane.runtime.app import AppError, pick_resources
from turnlane.runtime.limits import ProviderLimits


def test_the_agents_name_is_the_functions() -> None:
    app = App()

    @app.agent
    def support() -> None: ...

    assert app.agents["support"].factory is support


def test_settings_are_kept_with_the_agent() -> None:
    app = App()

    @app.agent(name="sales", deadline=5, when_busy="reject", max_running=3)
    def build() -> None: ...

    settings = app.agents["sales"].settings
    assert (settings.deadline, settings.when_busy, settings.max_running) == (5, "reject", 3)


def test_an_agent_object_is_refused_with_the_hazard() -> None:
    with pytest.raises(AppError, match="TL201"):
        App().add(SimpleNamespace(name="shared"))  # type: ignore[arg-type]


def test_two_agents_of_one_name_are_refused() -> None:
    app = App()
    app.add(lambda: None, name="a")
    with pytest.raises(AppError, match="two agents are named 'a'"):
        app.add(lambda: None, name="a")


@pytest.mark.parametrize("name", ["", "<lambda>", "with space", "x" * 65, "-dash", "ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    def factory() -> None: ...

    factory.__name__ = name
    with pytest.raises(AppError, match="can't be an agent's name"):
        App().add(factory)


def test_an_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(AppError, match=r"unknown setting 'dedline'; known: deadline"):
        App().add(lambda: None, name="a", dedline=3)


def test_a_setting_out_of_range_names_itself() -> None:
    with pytest.raises(AppError, match="agent 'a': deadline"):
        App().add(lambda: None, name="a", deadline=-1)


@pytest.mark.parametrize("resources", [{"db": 1, "cache": 2}, SimpleNamespace(db=1, cache=2)])
def test_resources_are_picked_by_parameter_name(resources: object) -> None:
    spec = App().add(lambda db, *, cache=None, other=7: None, name="a")
    assert pick_resources(spec, resources) == {"db": 1, "cache": 2}


def test_a_missing_resource_is_named_with_those_there_are() -> None:
    spec = App().add(lambda db: None, name="a")
    with pytest.raises(AppError, match=r"asks for 'db', which is no resource \(there are: cache\)"):
        pick_resources(spec, {"cache": 1})


def test_needs_lists_what_has_no_default() -> None:
    assert App().add(lambda db, cache=None: None, name="a").needs == ("db",)


def test_limits_are_kept_by_provider() -> None:
    limits = {"api.openai.com": ProviderLimits(requests_per_minute=500)}
    assert App(limits=limits).limits == limits
    assert App().limits == {}


def test_limits_of_another_kind_say_what_to_write() -> None:
    with pytest.raises(AppError, match=r"'api.openai.com': write ProviderLimits\(.*not dict"):
        App(limits={"api.openai.com": {"requests_per_minute": 500}})  # type: ignore[dict-item]


def test_a_providers_url_is_not_its_name() -> None:
    with pytest.raises(AppError, match="write the provider's host alone"):
        App(limits={"https://api.openai.com/v1": ProviderLimits()})
