"""The language server: what it answers, and when it checks."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from lsprotocol import types
from pygls.lsp.server import LanguageServer

from turnlane import __version__
from turnlane.checker.finding import Finding
from turnlane.checker.lsp import actions
from turnlane.checker.lsp.documents import Document, Locator, open_documents, path_of
from turnlane.checker.lsp.workspace import Analysis, Folder
from turnlane.checker.refusal import CannotRun

TYPING_PAUSE: Final = 0.3
"""Seconds without a key before the text is checked; where a check takes long, half as long as it took."""
LONGEST_PAUSE: Final = 2.0

_WATCHED: Final = (
    "**/{*.py,*.ipynb,*.ts,*.tsx,*.js,*.jsx,*.mjs,*.cjs,*.toml,*.json,*.yml,*.yaml,requirements*.txt}"
)
_NOTEBOOKS: Final = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithNotebook(
            notebook=types.NotebookDocumentFilterNotebookType(notebook_type="jupyter-notebook"),
            cells=[types.NotebookCellLanguage(language="python")],
        )
    ],
    save=True,
)


class Server(LanguageServer):
    """Checks the folders of the workspace when something changed, one check at a time."""

    def __init__(self) -> None:
        super().__init__("turnlane", __version__, notebook_document_sync=_NOTEBOOKS)
        self._folders: dict[str, Folder] = {}
        self._analyses: dict[str, Analysis] = {}
        self._documents: dict[str, Document] = {}
        self._published: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._changes = 0
        """How often something changed; `_checked` is how often when the last check began."""
        self._checked = -1
        self._one_check = asyncio.Lock()
        self._worker = ThreadPoolExecutor(1, "turnlane")  # an analysis changes the working folder
        self._running: set[asyncio.Task[None]] = set()
        self._complaint = ""
        self._took = 0.0
        """Seconds that the last check took."""

    # --- checking ---

    def changed(self, *, typing: bool) -> None:
        """Check, at once or after a pause in which nothing more changes."""
        pause = min(max(TYPING_PAUSE, self._took / 2), LONGEST_PAUSE) if typing else 0.0
        self._changes += 1
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(pause, self._start)

    def _start(self) -> None:
        task = asyncio.get_running_loop().create_task(self.current())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def current(self) -> None:
        """Check now if anything changed since the last check."""
        async with self._one_check:
            while self._checked != self._changes:
                await self._check()

    async def current_for(self, uri: str) -> None:
        """Check now if the document is another than the last check saw; what changed elsewhere can wait."""
        path = self._path(uri)
        if (
            path is None
            or path not in self._documents
            or open_documents(self.workspace).get(path) != self._documents[path]
        ):
            await self.current()

    async def _check(self) -> None:
        began = time.monotonic()
        changes = self._changes
        documents = open_documents(self.workspace)
        unsaved = {path: document.data for path, document in documents.items()}
        loop = asyncio.get_running_loop()
        analyses = await loop.run_in_executor(self._worker, self._analyse, self._wanted(documents), unsaved)
        self._checked = changes
        self._took = time.monotonic() - began
        self._documents = documents
        self._analyses = {analysis.folder: analysis for analysis in analyses if isinstance(analysis, Analysis)}
        if changes == self._changes:
            self._publish()
            self._complain(" ".join(analysis for analysis in analyses if isinstance(analysis, str)))

    def _wanted(self, documents: dict[str, Document]) -> list[Folder]:
        """The folders of the workspace, and those of open files outside of them."""
        opened = [path_of(uri) for uri in self.workspace.folders] or [self.workspace.root_path]
        whole = {os.path.normpath(path) for path in opened if path}
        outside = {os.path.dirname(path) for path in documents if not any(_is_below(path, top) for top in whole)}
        for path in (whole | outside) - self._folders.keys():
            self._folders[path] = Folder(path, whole=path in whole)
        return [self._folders[path] for path in sorted(whole | outside)]

    def _analyse(self, folders: list[Folder], unsaved: dict[str, bytes]) -> list[Analysis | str]:
        """An analysis of each folder, or the sentence why there is none. Runs in the worker's thread."""
        found: list[Analysis | str] = []
        for folder in folders:
            inside = {path: data for path, data in unsaved.items() if _is_below(path, folder.path)}
            try:
                found.append(folder.analyse(inside))
            except CannotRun as refusal:
                found.append(str(refusal))
            except OSError as error:
                found.append(f"{folder.path} can't be read: {(error.strerror or str(error)).lower()}")
            except Exception as error:  # the server goes on, and the next change is a new chance
                found.append(f"the check failed inside of turnlane with {type(error).__name__}; please report it")
        return found

    def _complain(self, sentence: str) -> None:
        """Show what is wrong with the configuration, once."""
        if sentence and sentence != self._complaint:
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"turnlane: {sentence}"))
        self._complaint = sentence

    def _publish(self) -> None:
        """Send the findings of every file that has some, and take back those of files that had."""
        by_uri: dict[str, list[types.Diagnostic]] = {uri: [] for uri in self._opened()}
        for analysis in self._analyses.values():
            locator = self.locator(analysis)
            for finding in analysis.findings:
                uri = locator.location(finding.place).uri
                by_uri.setdefault(uri, []).append(actions.diagnostic(finding, locator))
        for uri in self._published - by_uri.keys():
            by_uri[uri] = []
        versions = self._versions()
        for uri, diagnostics in by_uri.items():
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(uri, diagnostics, versions.get(uri))
            )
        self._published = {uri for uri, diagnostics in by_uri.items() if diagnostics}

    def _opened(self) -> Iterator[str]:
        for document in self._documents.values():
            if document.cells:
                yield from (uri for uri, _ in document.cells.values())
            else:
                yield document.uri

    def _versions(self) -> dict[str, int | None]:
        versions: dict[str, int | None] = {}
        for document in self._documents.values():
            versions |= {document.uri: document.version, **dict(document.cells.values())}
        return versions

    # --- answers ---

    def locator(self, analysis: Analysis) -> Locator:
        """What turns places of an analysis into positions."""
        return Locator(analysis, self._documents, self.workspace.position_codec)

    def found(self, uri: str) -> tuple[Analysis, list[Finding]] | None:
        """The findings in a document or in a notebook's cell, and the analysis that has them."""
        path = self._path(uri)
        for analysis in self._analyses.values():
            if path is not None and _is_below(path, analysis.folder):
                return analysis, analysis.of(path)
        return None

    def _path(self, uri: str) -> str | None:
        """The file of a document or of a notebook's cell."""
        notebook = self.workspace.get_notebook_document(cell_uri=uri)
        return path_of(notebook.uri if notebook is not None else uri)

    def at(self, uri: str, span: types.Range) -> tuple[Analysis, list[Finding]] | None:
        """The findings that touch a range."""
        found = self.found(uri)
        if found is None:
            return None
        analysis, findings = found
        locator = self.locator(analysis)
        located = ((finding, locator.location(finding.place)) for finding in findings)
        return analysis, [
            finding for finding, location in located if location.uri == uri and _touches(location.range, span)
        ]

    def workspace_edit(self, edited: actions.Edited) -> types.WorkspaceEdit:
        """The edits in the form that the editor understands; with versions, it refuses what came too late."""
        workspace = self.client_capabilities.workspace
        understood = workspace.workspace_edit if workspace else None
        if understood is None or not understood.document_changes:
            return types.WorkspaceEdit(changes=edited)
        versions = self._versions()
        return types.WorkspaceEdit(
            document_changes=[
                types.TextDocumentEdit(
                    types.OptionalVersionedTextDocumentIdentifier(uri, versions.get(uri)), list(edits)
                )
                for uri, edits in edited.items()
            ]
        )

    def watch(self) -> None:
        """Ask the editor to tell when files change that it has not open."""
        workspace = self.client_capabilities.workspace
        watched = workspace.did_change_watched_files if workspace else None
        if watched is None or not watched.dynamic_registration:
            return
        options = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(_WATCHED)])
        kind = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        registration = types.Registration("turnlane-files", kind, options)
        self.client_register_capability(types.RegistrationParams([registration]))


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip(os.sep) + os.sep)


def _touches(one: types.Range, other: types.Range) -> bool:
    def key(position: types.Position) -> tuple[int, int]:
        return (position.line, position.character)

    return key(one.start) <= key(other.end) and key(other.start) <= key(one.end)


def make_server() -> Server:
    """A server that speaks on no channel yet; see `start_io`."""
    server = Server()
    _listen(server)
    _answer(server)
    return server


def _listen(server: Server) -> None:
    """Check when something changes."""
    at_once = (
        types.TEXT_DOCUMENT_DID_OPEN,
        types.TEXT_DOCUMENT_DID_SAVE,
        types.TEXT_DOCUMENT_DID_CLOSE,
        types.NOTEBOOK_DOCUMENT_DID_OPEN,
        types.NOTEBOOK_DOCUMENT_DID_SAVE,
        types.NOTEBOOK_DOCUMENT_DID_CLOSE,
        types.WORKSPACE_DID_CHANGE_WATCHED_FILES,
        types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS,
    )

    def changed(*, typing: bool) -> Callable[[Any], Awaitable[None]]:
        async def handler(_: Any) -> None:
            server.changed(typing=typing)

        return handler

    async def initialized(_: types.InitializedParams) -> None:
        server.watch()
        server.changed(typing=False)

    for feature in at_once:
        server.feature(feature)(changed(typing=False))
    for feature in (types.TEXT_DOCUMENT_DID_CHANGE, types.NOTEBOOK_DOCUMENT_DID_CHANGE):
        server.feature(feature)(changed(typing=True))
    server.feature(types.INITIALIZED)(initialized)


def _answer(server: Server) -> None:
    """Answer what the editor asks, of the text as it is now."""
    kinds = types.CodeActionOptions([types.CodeActionKind.QuickFix, actions.FIX_ALL])

    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        await server.current_for(params.text_document.uri)
        uri = params.text_document.uri
        here, everywhere = server.at(uri, params.range), server.found(uri)
        if here is None or everywhere is None:
            return []
        analysis, findings = here
        locator, only = server.locator(analysis), params.context.only
        return list(actions.code_actions(findings, everywhere[1], analysis, locator, only, server.workspace_edit))

    async def hover(params: types.HoverParams) -> types.Hover | None:
        await server.current_for(params.text_document.uri)
        found = server.at(params.text_document.uri, types.Range(params.position, params.position))
        text = actions.hover(found[1]) if found else ""
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text)) if text else None

    server.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)(code_action)
    server.feature(types.TEXT_DOCUMENT_HOVER)(hover)
