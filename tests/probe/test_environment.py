"""The program's environment: every usual setting points at the probe's provider."""

from __future__ import annotations

import json
from pathlib import Path

from turnlane.probe.environment import CONFIG_LIST, KEY, provider_environment

URL = "http://127.0.0.1:4000/v1"


def made(
    base: dict[str, str] | None = None, directory: str | None = None, *, keep_keys: bool = False
) -> dict[str, str]:
    return provider_environment(base or {}, URL, directory, keep_keys=keep_keys)


def test_the_settings_of_openai_and_azure() -> None:
    found = made({"OPENAI_BASE_URL": "https://api.openai.com/v1", "OPENAI_API_KEY": "sk-real", "HOME": "/home/a"})
    assert found["OPENAI_BASE_URL"] == found["OPENAI_API_BASE"] == URL
    assert found["AZURE_OPENAI_ENDPOINT"] == "http://127.0.0.1:4000"
    assert found["OPENAI_API_KEY"] == KEY
    assert found["HOME"] == "/home/a"


def test_a_model_that_was_chosen_stays() -> None:
    assert made({"OPENAI_MODEL": "gpt-5"})["OPENAI_MODEL"] == "gpt-5"


def test_a_real_key_goes_on_to_the_real_provider_only() -> None:
    assert made({"OPENAI_API_KEY": "sk-real"}, keep_keys=True)["OPENAI_API_KEY"] == "sk-real"
    assert "sk-real" not in made({"OPENAI_API_KEY": "sk-real"}).values()


def test_a_config_list_of_classic_autogen_is_pointed_at_the_provider(tmp_path: Path) -> None:
    own = [
        {"model": "gpt-4", "api_key": "sk-real", "base_url": "https://x/v1", "api_type": "azure", "tags": ["a"]}
    ]
    expected = [{"model": "gpt-4", "tags": ["a"], "base_url": URL, "api_key": KEY}]
    assert json.loads(made({CONFIG_LIST: json.dumps(own)})[CONFIG_LIST]) == expected
    (tmp_path / CONFIG_LIST).write_text(json.dumps(own))
    assert json.loads(made(directory=str(tmp_path))[CONFIG_LIST]) == expected
    (tmp_path / "models.json").write_text(json.dumps(own))
    named = made({CONFIG_LIST: "models.json"}, str(tmp_path))
    assert json.loads(named[CONFIG_LIST]) == expected


def test_without_a_config_list_the_usual_models_are_there(tmp_path: Path) -> None:
    models = {entry["model"] for entry in json.loads(made(directory=str(tmp_path))[CONFIG_LIST])}
    assert {"gpt-4", "gpt-4o", "gpt-4o-mini"} <= models


def test_loopback_is_reached_past_a_proxy() -> None:
    found = made({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "intern"})
    assert found["NO_PROXY"] == found["no_proxy"] == "intern,127.0.0.1,localhost,::1"
    assert "NO_PROXY" not in made()
