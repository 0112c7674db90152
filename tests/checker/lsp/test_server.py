"""The server in a process, driven as an editor does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsprotocol import types

LEGACY = """\
import asyncio


async def main() -> None:
    print("😀")


if __name__ == "__main__":
    loop = asyncio.get_event_loop()
    loop.run_until_complete(main())
"""

NESTED = """\
import asyncio


async def fetch() -> str:
    return "text"


async def main() -> None:
    print("😀é", asyncio.run(fetch()))
"""


def test_a_finding_is_shown_and_fixed(drive: Any, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("")

    async def scenario(editor: Any) -> None:
        uri = editor.open("main.py", LEGACY)
        (found,) = await editor.codes(uri, "TL104")
        assert found.source == "turnlane"
        assert found.code_description.href.endswith("/pages/TL104-legacy-loop.md")
        assert found.range.start.line == 9
        actions = await editor.actions(uri, found.range, "quickfix")
        assert list(actions) == ["Run it with `asyncio.run` (TL104)", "Ignore TL104 on this line"]
        fixed = editor.applied(actions["Run it with `asyncio.run` (TL104)"].edit)[uri]
        assert fixed == LEGACY.replace("    loop = asyncio.get_event_loop()\n", "").replace(
            "loop.run_until_complete", "asyncio.run"
        )
        editor.change(uri, fixed, 2)
        await editor.codes(uri)
        hover = await editor.client.text_document_hover_async(
            types.HoverParams(types.TextDocumentIdentifier(uri), found.range.start)
        )
        assert hover is None

    drive(scenario)


def test_columns_are_utf_16_and_a_hover_explains(drive: Any, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(NESTED)

    async def scenario(editor: Any) -> None:
        uri = editor.open("main.py", NESTED)
        (found,) = await editor.codes(uri, "TL101")
        assert found.severity == types.DiagnosticSeverity.Error
        assert (found.range.start.line, found.range.start.character) == (8, 17)
        position = types.HoverParams(types.TextDocumentIdentifier(uri), found.range.start)
        hover = await editor.client.text_document_hover_async(position)
        assert hover.contents.value.startswith("**TL101 nested-loop** ")
        ignore = (await editor.actions(uri, found.range))["Ignore TL101 on this line"]
        text = editor.applied(ignore.edit)[uri]
        assert text == NESTED.replace("fetch()))\n", "fetch()))  # turnlane: ignore[TL101]\n")
        editor.change(uri, text, 2)
        await editor.codes(uri)
        editor.change(uri, NESTED, 3)
        await editor.codes(uri, "TL101")
        (fix_all,) = (await editor.actions(uri, found.range, "source.fixAll")).values()
        assert fix_all.kind == "source.fixAll.turnlane"
        assert editor.applied(fix_all.edit)[uri] == NESTED.replace("asyncio.run(fetch())", "await fetch()")

    drive(scenario)


def test_another_file_of_the_workspace_is_part_of_the_program(drive: Any, tmp_path: Path) -> None:
    helper = "import asyncio\n\n\nasync def fetch():\n    pass\n\n\ndef ask():\n    return asyncio.run(fetch())\n"
    (tmp_path / "helper.py").write_text(helper)
    app = "from helper import ask\n\n\nasync def chat():\n    return ask()\n"

    async def scenario(editor: Any) -> None:
        (tmp_path / "app.py").write_text("")
        uri = editor.open("app.py", app)
        (found,) = await editor.codes(uri, "TL101")
        assert found.range == types.Range(types.Position(4, 11), types.Position(4, 16))
        assert uri in {info.location.uri for info in found.related_information}
        other = editor.open("helper.py", helper)
        await editor.codes(other)
        editor.change(other, helper.replace("asyncio.run(fetch())", "'text'"), 2)
        await editor.codes(uri)

    drive(scenario)


def test_an_unsafe_fix_of_several_places_is_marked(drive: Any, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    app = (
        "import asyncio\n\n\nasync def fetch():\n    pass\n\n\n"
        "def ask():\n    return asyncio.run(fetch())\n\n\nasync def chat():\n    return ask()\n"
    )

    async def scenario(editor: Any) -> None:
        uri = editor.open("app.py", app)
        (found,) = await editor.codes(uri, "TL101")
        actions = await editor.actions(uri, found.range, "quickfix")
        action = actions["Make `ask` async and await it (unsafe) (TL101)"]
        assert not action.is_preferred
        assert editor.applied(action.edit)[uri] == app.replace("def ask", "async def ask").replace(
            "asyncio.run(fetch())", "await fetch()"
        ).replace("return ask()", "return await ask()")
        assert not await editor.actions(uri, found.range, "source.fixAll")

    drive(scenario)


CELLS = ["import asyncio\nasync def main(): return 'é'", "%%time\nx = asyncio.run(main())"]


def test_cells_of_a_notebook(drive: Any, tmp_path: Path) -> None:
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": []}))

    async def scenario(editor: Any) -> None:
        uris = [f"vscode-notebook-cell:{tmp_path}/n.ipynb#{number}" for number in range(3)]
        kinds = [types.NotebookCellKind.Markup, types.NotebookCellKind.Code, types.NotebookCellKind.Code]
        cells = [types.NotebookCell(kind, uri) for kind, uri in zip(kinds, uris, strict=True)]
        sources = ["# Title", *CELLS]
        items = [types.TextDocumentItem(uri, "python", 1, text) for uri, text in zip(uris, sources, strict=True)]
        editor.texts |= dict(zip(uris, sources, strict=True))
        document = types.NotebookDocument(editor.uri("n.ipynb"), "jupyter-notebook", 1, cells)
        editor.client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(document, items))
        (found,) = await editor.codes(uris[2], "TL102")
        assert found.range.start == types.Position(1, 4)
        actions = await editor.actions(uris[2], found.range, "source.fixAll.turnlane")
        (action,) = actions.values()
        assert editor.applied(action.edit) == {uris[2]: "%%time\nx = await main()"}

    drive(scenario)


def test_a_notebook_that_is_open_as_text(drive: Any, tmp_path: Path) -> None:
    text = json.dumps({"cells": [{"cell_type": "code", "source": s.splitlines(True)} for s in CELLS]}, indent=1)
    (tmp_path / "n.ipynb").write_text(text)

    async def scenario(editor: Any) -> None:
        uri = editor.open("n.ipynb", text, "json")
        (found,) = await editor.codes(uri, "TL102")
        assert text.splitlines()[found.range.start.line].strip() == '"x = asyncio.run(main())"'
        (action,) = (await editor.actions(uri, found.range, "quickfix")).values()
        assert editor.applied(action.edit)[uri] == text.replace("asyncio.run(main())", "await main()")

    drive(scenario)


def test_a_wrong_configuration_is_said_and_mended(drive: Any, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.turnlane]\nselekt = []\n")
    (tmp_path / "main.py").write_text("")

    async def scenario(editor: Any) -> None:
        uri = editor.open("main.py", NESTED)
        await editor.until(lambda: bool(editor.messages))
        assert "selekt" in editor.messages[0]
        (tmp_path / "pyproject.toml").write_text("[tool.turnlane]\nselect = ['TL1']\n")
        saved = types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri))
        editor.client.text_document_did_save(saved)
        await editor.codes(uri, "TL101")
        assert len(editor.messages) == 1

    drive(scenario)
