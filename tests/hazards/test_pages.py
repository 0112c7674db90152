"""Every page has all its parts, its Python compiles, its names exist, its references lead somewhere."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from turnlane import hazards
from turnlane.hazards.catalogue import PAGES
from turnlane.hazards.hazard import FAMILIES, SECTIONS, Example, Hazard, MalformedPage, read_page

ALL = pytest.mark.parametrize("hazard", hazards.all(), ids=str)
EXAMPLES = [
    pytest.param(example, id=f"{hazard.code}-{kind}-{number}")
    for hazard in hazards.all()
    for kind, examples in (("wrong", hazard.bad), ("right", hazard.good))
    for number, example in enumerate(examples, start=1)
]
OURS_TO_CHECK = ("autogen_agentchat", "autogen_core", "autogen_ext", "openai")
"""Installed here, so a name that a page imports from them must exist."""
NOT_INSTALLED = {"autogen", "fastapi", "nest_asyncio", "requests"}
"""Used by pages and not among our dependencies."""


@ALL
def test_the_head_is_short_plain_sentences(hazard: Hazard) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+|unawaited", hazard.name)
    assert hazard.family in FAMILIES.values()
    for sentence in (hazard.summary, hazard.help):
        assert len(sentence) <= 160
        assert sentence.endswith(".")
        assert sentence[0].isupper() or sentence[0] == "`"


@ALL
def test_all_sections_in_order_and_filled(hazard: Hazard) -> None:
    titles = re.findall(r"^## (.+)$", re.sub(r"```.*?```", "", hazard.page(), flags=re.DOTALL), re.MULTILINE)
    assert tuple(titles) == tuple(hazard.sections) == SECTIONS
    assert hazard.symptoms or hazard.silent
    assert hazard.bad
    assert hazard.good
    assert hazard.related
    assert hazard.why == hazard.sections["Why"]
    assert hazard.prevention.strip()
    assert "Measured:" in hazard.seen or not hazard.code.startswith(("TL1", "TL2", "TL3", "TL4"))


@ALL
def test_it_fits_on_a_screen_or_two(hazard: Hazard) -> None:
    prose = re.sub(r"```.*?```", "", hazard.page(), flags=re.DOTALL)
    assert len(prose.split()) <= 330, "a tired reader stops before the end"
    assert max(len(line) for example in hazard.bad + hazard.good for line in example.code.splitlines()) <= 115


@ALL
def test_references_lead_somewhere(hazard: Hazard) -> None:
    mentioned = set(re.findall(r"\bTL\d{3}\b", hazard.page()))
    assert mentioned <= set(hazards.codes())
    assert hazard.code not in hazard.related
    assert set(hazard.related) <= set(hazards.codes())
    assert len(set(hazard.related)) == len(hazard.related)


def test_every_file_of_the_folder_is_a_page() -> None:
    files = {path.name for path in Path(PAGES).iterdir()}
    assert files == {f"{hazard.code}-{hazard.name}.md" for hazard in hazards.all()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_parse(example: Example) -> None:
    assert example.title
    match example.language:
        case "python":
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if example.title == "notebook cell" else 0
            compile(example.code, example.title, "exec", flags=flags | ast.PyCF_ONLY_AST)
            compile(example.code, example.title, "exec", flags=flags)
        case "json":
            json.loads(example.code)
        case "toml":
            tomllib.loads(example.code)
        case "yaml":
            assert yaml.safe_load(example.code)
        case "typescript":
            assert example.code.count("{") == example.code.count("}")
        case other:
            assert other in {"dockerfile", "text"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_examples_import_exists(example: Example) -> None:
    if example.language != "python":
        return
    for module, names in _imports(ast.parse(example.code)):
        root = module.partition(".")[0]
        if root in NOT_INSTALLED:
            continue
        assert importlib.util.find_spec(root), f"nobody knows {module}"
        if root in OURS_TO_CHECK:
            loaded = importlib.import_module(module)
            assert [name for name in names if not hasattr(loaded, name)] == []


def _imports(tree: ast.AST) -> list[tuple[str, list[str]]]:
    found = [
        (node.module or "", [alias.name for alias in node.names])
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    ]
    found += [(alias.name, []) for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return found


GOOD_PAGE = """\
---
summary: It breaks.
help: Do not.
silent: no
---

## What you see

```text
Boom: it broke
```

Measured: once.

## Why

Because.

## Wrong

```python app.py
# ## not a section
boom()
```

## Right

```python app.py
pass
```

## What turnlane does

Nothing.

## Related

- TL101: near
"""


def test_reading_a_page() -> None:
    hazard = read_page("TL100", "boom", GOOD_PAGE)
    assert hazard.symptoms == ("Boom: it broke",)
    assert hazard.bad == (Example("python", "app.py", "# ## not a section\nboom()\n"),)
    assert hazard.related == ("TL101",)
    assert hazard.seen == "Measured: once."
    assert "**Silent:**" not in hazard.page()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("---\nsummary", "summary", "front matter"),
        ("help: Do not.\n", "", "front matter must be"),
        ("help: Do not.", "help: ", "front matter must be"),
        ("silent: no", "silent: perhaps", "yes or no"),
        ("## Why", "## Reason", "sections must be"),
        ("\nBecause.\n", "\n", "sections must be"),
    ],
)
def test_a_malformed_page_is_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(MalformedPage, match=f"TL100: .*{says}"):
        read_page("TL100", "boom", GOOD_PAGE.replace(old, new, 1))
