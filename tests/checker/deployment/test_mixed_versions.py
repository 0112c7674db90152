"""TL601: which requirement sets do not belong together."""

from __future__ import annotations

from typing import Any

import pytest

from turnlane.checker.finding import Finding


def of(code: str, said: list[Any]) -> list[Finding]:
    return [one for one in said if isinstance(one, Finding) and one.code == code]


def requirements(*lines: str) -> dict[str, str]:
    return {"requirements.txt": "\n".join([*lines, ""])}


@pytest.mark.parametrize(
    ("lines", "line", "severity", "said"),
    [
        (["# pins", "autogen-agentchat==0.4.7", "autogen-core==0.4.8"], 2, "error", "different releases"),
        (["autogen-ext[openai]~=0.4.0", "autogen-agentchat>=0.5"], 1, "error", "different releases"),
        (["autogen-agentchat~=0.2.40", "autogen-ext"], 1, "error", "is classic AutoGen"),
        (["autogen-agentchat==0.2.40", "autogen-ext==0.4.7"], 1, "error", "is classic AutoGen"),
        (["flask", "pyautogen"], 2, "warning", "no module `autogen`"),
        (["pyautogen>=0.2.0"], 1, "warning", "no module `autogen`"),
        (["PyAutoGen [retrievechat] >= 0.2.0 ; python_version > '3.9'  # classic"], 1, "warning", "0.10"),
        (["autogen-agentchat~=0.2"], 1, "warning", "two libraries"),
        (["autogen-agentchat>=0.2.0", "autogen-ext[openai]>=0.2.0"], 1, "warning", "two libraries"),
        (["autogen-ext>=0.2.40"], 1, "warning", "begins at 0.4"),
        (["dotenv", "autogen-ext[ollama]", "ag2[ollama]"], 2, "warning", "classic AutoGen and the current one"),
        (["autogen-agentchat", "pandas", "autogen"], 1, "warning", "classic AutoGen and the current one"),
        (["ag2==0.9.7", "autogen-agentchat==0.7.1"], 1, "information", "classic AutoGen and the current one"),
        (["pyautogen==0.2.10", "autogen"], 1, "error", "the one installed last wins"),
        (["ag2==0.9.7", "pyautogen==0.8.7"], 1, "error", "the one installed last wins"),
        (["ag2~=0.2.0b6"], 1, "warning", "no such version"),
        (["autogen-core==0.2.25"], 1, "warning", "no such version"),
        (["autogen-ext[openai]==0.7.5", "openai==1.51.0"], 1, "error", "`openai>=1.93`"),
    ],
)
def test_sets_that_do_not_fit(check, lines, line, severity, said) -> None:
    found = of("TL601", check(requirements(*lines)))
    assert [(one.place.line, one.severity) for one in found] == [(line, severity)]
    assert said in found[0].message


@pytest.mark.parametrize(
    "lines",
    [
        ["autogen-agentchat==0.4.7", "autogen-core==0.4.7", "autogen-ext==0.4.7", "openai==1.63.2"],
        ["autogen-agentchat==0.7.1", "autogen-ext[openai]", "autogen-core"],
        ["autogen-agentchat>=0.4.0", "autogen-ext[anthropic]>=0.4.0"],
        ["autogen-agentchat>=0.6.4", "autogen-ext>=0.7.1"],
        ["autogen-agentchat==0.8.0", "autogen-ext==0.8.0"],
        ["autogen-agentchat", "autogen-core", "autogen-ext"],
        [
            "autogen-agentchat==0.2.40",
            "autogen-agentchat[anthropic]==0.2.40",
            "autogen-agentchat[teachable]==0.2.40",
        ],
        ["autogen-agentchat~=0.2.36"],
        ["ag2==0.10.2", "autogen==0.10.2"],
        ["pyautogen==0.9", "autogen==0.9"],
        ["pyautogen~=0.2.0"],
        ["pyautogen>=0.2,<0.3"],
        ["pyautogen==0.10.0", "autogen-agentchat>=0.7.0"],
        ["autogen==0.14.1", "openai"],
        ["ag2[openai]>=1"],
        ["autogen-ext==0.7.4", "openai==1.51.0"],
        ["git+https://github.com/someone/autogen.git@dev#egg=pyautogen"],
        ["pyautogen @ git+https://github.com/someone/autogen.git"],
        ["/packages/autogen-core", "autogen-agentchat==0.5.7"],
        ["# pyautogen>=0.2", "flask"],
        ["not-autogen-agentchat==0.2", "autogenerate"],
        ["autogen-agentchat||nonsense", "==", "[", "-e ."],
    ],
    ids=lambda lines: lines[0][:40],
)
def test_sets_that_fit(check, lines) -> None:
    assert check(requirements(*lines)) == []


def test_a_newer_release_than_the_tables_is_not_held_against_anyone(check) -> None:
    assert check(requirements("autogen-agentchat==0.9.0", "autogen-ext==0.9.0", "pyautogen==0.11")) == []


def test_the_proxy_is_not_classic_autogen_beside_the_current_one(check) -> None:
    (found,) = of("TL601", check(requirements("pyautogen", "autogen-ext[openai]")))
    assert "has no module `autogen`" in found.message
    assert "two libraries" not in found.message


def test_included_files_are_one_set_reported_where_something_of_it_stands(check) -> None:
    files = {
        "base.txt": "nothing here",
        "requirements/base.txt": "autogen-agentchat==0.7.5\n",
        "requirements/dev.txt": "-r base.txt\n",
        "requirements-dev.txt": "-r requirements/requirements-base.txt\nautogen-ext==0.7.4\n",
        "requirements/requirements-base.txt": "autogen-agentchat==0.7.5\n",
    }
    found = of("TL601", check(files))
    assert [(one.place.path, one.place.line) for one in found] == [("requirements-dev.txt", 2)]


def test_files_that_include_each_other_come_to_an_end(check) -> None:
    files = {
        "requirements.txt": "-r requirements-dev.txt\n",
        "requirements-dev.txt": "-r requirements.txt\npyautogen\n",
    }
    assert [one.place.path for one in of("TL601", check(files))] == ["requirements-dev.txt"]


PYPROJECT = """
[project]
name = "support"
dependencies = [
    "flask",
    "autogen-agentchat>=0.4", # a comment with "quotes"
]
[project.optional-dependencies]
old = ["pyautogen==0.2.35"]
"""


def test_groups_are_judged_with_the_main_requirements_but_not_with_each_other(check) -> None:
    found = of("TL601", check({"pyproject.toml": PYPROJECT + 'new = ["autogen-ext>=0.4"]\n'}))
    assert [(one.place.line, one.severity) for one in found] == [(6, "warning")]
    apart = PYPROJECT.replace('    "autogen-agentchat>=0.4", # a comment with "quotes"\n', "")
    assert check({"pyproject.toml": apart + 'new = ["autogen-ext>=0.4"]\n'}) == []


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3.11"\npyautogen = ">=0.2"\n', 3),
        ("pyproject.toml", '[tool.poetry.dependencies]\npyautogen = {version = "*", extras = ["x"]}\n', 2),
        ("pyproject.toml", '[tool.poetry.group.ai.dependencies.pyautogen]\nversion = ">=0.2"\n', 2),
        ("pyproject.toml", '[dependency-groups]\nai = [\n  "pyautogen",\n]\n', 3),
        ("pyproject.toml", '[tool.pdm.dev-dependencies]\nai = ["pyautogen"]\n', 2),
        ("pyproject.toml", '[tool.uv]\ndev-dependencies = ["pyautogen"]\n', 2),
        ("Pipfile", '[packages]\npyautogen = "*"\n', 2),
        ("setup.cfg", "[options]\ninstall_requires =\n    flask\n    pyautogen>=0.2\n", 4),
        ("setup.py", 'from setuptools import setup\nsetup(install_requires=["é", "pyautogen>=0.2"])\n', 2),
        ("setup.py", 'needs = (\n  "pyautogen>=0.2",\n)\nsetup(extras_require={"ai": needs})\n', 2),
        ("environment.yml", "dependencies:\n  - python=3.11\n  - pip:\n      - pyautogen>=0.2\n", 4),
        (
            "Dockerfile",
            "FROM python:3.12\nRUN apt-get update && \\\n  # why\n  pip install --no-cache-dir 'pyautogen>=0.2'\n",
            4,
        ),
        ("setup.sh", "set -e\npython3 -m pip install pyautogen\n", 2),
    ],
)
def test_every_form_of_manifest_is_read(check, path, text, line) -> None:
    assert [(one.code, one.place.line) for one in of("TL601", check({path: text}))] == [("TL601", line)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pyproject.toml", '[tool.poetry.dependencies]\npyautogen = "^0.2.35"\n'),
        ("pyproject.toml", '[tool.poetry.dependencies]\npyautogen = "0.2.35"\n'),
        ("pyproject.toml", '[tool.poetry.dependencies]\npyautogen = {path = "../autogen"}\n'),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["pyautogen"]\n[tool.uv.sources]\npyautogen = {workspace = true}\n',
        ),
        ("pyproject.toml", 'keywords = ["pyautogen"]\n[tool.mypy]\npyautogen = "x"\n'),
        ("environment.yml", "dependencies:\n  - ag2=0.9.7\n"),
        ("deploy.sh", 'echo "pip install pyautogen"\n'),
        ("Dockerfile", "FROM x\n# RUN pip install pyautogen\nRUN pip uninstall -y pyautogen\n"),
    ],
)
def test_what_only_looks_like_it(check, path, text) -> None:
    assert of("TL601", check({path: text})) == []


LOCK = 'version = 1\n[[package]]\nname = "pyautogen"\nversion = "0.2.35"\nsource = { registry = "x" }\n'


@pytest.mark.parametrize("name", ["uv.lock", "poetry.lock"])
def test_a_lock_file_that_chose_well_is_believed(check, name) -> None:
    ranges = '[project]\ndependencies = ["pyautogen>=0.2"]\n'
    assert of("TL601", check({"app/pyproject.toml": ranges})) != []
    assert of("TL601", check({"app/pyproject.toml": ranges, name: LOCK})) == []
    assert of("TL601", check({"app/requirements.txt": "pyautogen>=0.2\n", name: LOCK})) != [], "pip reads no lock"


def test_a_compiled_requirements_file_locks_its_source(check) -> None:
    files = {"requirements.in": "pyautogen\n", "requirements.txt": "pyautogen==0.2.35\n"}
    assert check(files) == []


@pytest.mark.parametrize(
    ("lines", "image", "said"),
    [
        (["autogen-agentchat>=0.4"], "python:3.9-slim", ">=3.10"),
        (["autogen-ext==0.7.5"], "docker.io/library/python:3.8.10", ">=3.10"),
        (["pyautogen==0.2.34"], "python:3.13", ">=3.8,<3.13"),
        (["ag2==0.8.7"], "python:3.14-slim", ">=3.9,<3.14"),
        (["agent-framework"], "python:3.9", ">=3.10"),
        (["autogen-agentchat>=0.4"], "python:3.10", None),
        (["autogen-agentchat~=0.2.36"], "python:3.9", None),
        (["ag2"], "python:3.14", None),
        (["flask"], "python:3.6", None),
        (["autogen-agentchat>=0.4"], "python:3", None),
        (["autogen-agentchat>=0.4"], "node:8.0", None),
    ],
)
def test_the_python_of_an_image(check, lines, image, said) -> None:
    dockerfile = f"ARG TAG\nFROM --platform=linux/amd64 {image} AS base\nCOPY requirements.txt .\n"
    found = of("TL601", check({**requirements(*lines), "Dockerfile": dockerfile}))
    assert [(one.place.path, one.place.line, one.severity) for one in found] == (
        [("Dockerfile", 2, "error")] if said else []
    )
    assert all(said in one.message for one in found)


def test_the_python_of_an_image_by_argument(check) -> None:
    dockerfile = "ARG PY=3.9\nFROM python:${PY}-slim\n"
    assert [
        one.place.line for one in of("TL601", check({**requirements("autogen-core"), "Dockerfile": dockerfile}))
    ] == [2]


@pytest.mark.parametrize(("path", "text"), [(".python-version", "3.9.18\n"), ("runtime.txt", "python-3.9.18\n")])
def test_the_python_of_a_version_file_counts_for_its_own_folder(check, path, text) -> None:
    assert [one.place.path for one in check({**requirements("autogen-core"), path: text})] == [path]
    assert check({**requirements("autogen-core"), f"other/{path}": text}) == []


def test_requirements_that_powershell_wrote(check) -> None:
    text = "flask\r\npyautogen>=0.2\r\n".encode("utf-16")
    (found,) = of("TL601", check({"requirements.txt": text}))
    assert found.place.line == 2
    assert found.fix is None, "fixes write UTF-8"


def test_a_broken_project_file_is_told_and_read_as_far_as_it_goes(check) -> None:
    said = check({"pyproject.toml": '[project]\ndependencies = ["pyautogen>=0.2"]\n{{ more }}\n'})
    notes = [one for one in said if not isinstance(one, Finding)]
    assert [(note.path, note.line) for note in notes] == [("pyproject.toml", 3)]
    assert len(of("TL601", said)) == 1
