"""A real editor's side of the protocol: pygls' client, and the server as a process on pipes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.lsp.client import LanguageClient
from pygls.workspace import PositionCodec, TextDocument

SECONDS = 60
"""Until a test gives up; the machine may be busy."""

CAPABILITIES = types.ClientCapabilities(
    workspace=types.WorkspaceClientCapabilities(
        workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True),
        workspace_folders=True,
    ),
    notebook_document=types.NotebookDocumentClientCapabilities(types.NotebookDocumentSyncClientCapabilities()),
)


class Editor:
    """Opens documents, keeps their text and what is said of them."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.texts: dict[str, str] = {}
        self.diagnostics: dict[str, list[types.Diagnostic]] = {}
        self.messages: list[str] = []
        self._news = asyncio.Event()
        client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self._published(params))
        client.feature(types.WINDOW_SHOW_MESSAGE)(lambda params: self._shown(params))

    def _published(self, params: types.PublishDiagnosticsParams) -> None:
        self.diagnostics[params.uri] = list(params.diagnostics)
        self._news.set()

    def _shown(self, params: types.ShowMessageParams) -> None:
        self.messages.append(params.message)
        self._news.set()

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def open(self, name: str, text: str, language: str = "python") -> str:
        uri = self.uri(name)
        self.texts[uri] = text
        item = types.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri: str, text: str, version: int) -> None:
        self.texts[uri] = text
        document = types.VersionedTextDocumentIdentifier(version, uri)
        change = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until what the server says makes `true` so."""
        async with asyncio.timeout(SECONDS):
            while not true():
                self._news.clear()
                await self._news.wait()

    async def codes(self, uri: str, *expected: str) -> list[types.Diagnostic]:
        """Wait until the document has findings of these codes, in order of lines."""

        def found() -> list[types.Diagnostic]:
            return sorted(self.diagnostics.get(uri, []), key=lambda each: each.range.start.line)

        await self.until(lambda: uri in self.diagnostics and [each.code for each in found()] == list(expected))
        return found()

    async def actions(self, uri: str, span: types.Range, *only: str) -> dict[str, types.CodeAction]:
        context = types.CodeActionContext([], only=list(only) or None)
        params = types.CodeActionParams(types.TextDocumentIdentifier(uri), span, context)
        found = await self.client.text_document_code_action_async(params)
        return {action.title: action for action in found or [] if isinstance(action, types.CodeAction)}

    def applied(self, edit: types.WorkspaceEdit | None) -> dict[str, str]:
        """The texts of the documents after an edit, as an editor makes it."""
        texts: dict[str, str] = {}
        for change in (edit and edit.document_changes) or ():
            assert isinstance(change, types.TextDocumentEdit)
            uri = change.text_document.uri
            document = TextDocument(uri, self.texts[uri], position_codec=PositionCodec())
            spans = [
                (document.offset_at_position(e.range.start), document.offset_at_position(e.range.end), e)
                for e in change.edits
            ]
            text = self.texts[uri]
            for start, end, one in sorted(spans, key=lambda span: span[:2], reverse=True):
                text = text[:start] + one.new_text + text[end:]
            texts[uri] = text
        return texts


Drive = Callable[[Callable[[Editor], Awaitable[None]]], None]


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Runs a scenario against a server whose workspace is `tmp_path`."""

    @asynccontextmanager
    async def session() -> AsyncIterator[Editor]:
        client = LanguageClient("editor", "1")
        editor = Editor(client, tmp_path)
        program = "import sys; from turnlane.cli.main import main; sys.exit(main())"
        await client.start_io(sys.executable, "-c", program, "check", "--lsp")
        async with asyncio.timeout(SECONDS):
            folders = [types.WorkspaceFolder(tmp_path.as_uri(), tmp_path.name)]
            await client.initialize_async(types.InitializeParams(CAPABILITIES, workspace_folders=folders))
            client.initialized(types.InitializedParams())
        try:
            yield editor
        finally:
            async with asyncio.timeout(SECONDS):
                await client.shutdown_async(None)
                client.exit(None)
                await client.stop()

    def run(scenario: Callable[[Editor], Awaitable[None]]) -> None:
        async def whole() -> Any:
            async with session() as editor:
                await scenario(editor)

        asyncio.run(whole())

    return run
