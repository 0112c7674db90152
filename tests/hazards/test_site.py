"""The docs pages are made from the catalogue, and current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from turnlane import hazards
from turnlane.hazards.site import INDEX, render, write

DOCS = Path(__file__).parents[2] / "docs" / "hazards"
REFRESH = "run: python -m turnlane.hazards --write docs/hazards"


def test_the_docs_are_current() -> None:
    pages = render()
    assert {path.name for path in DOCS.iterdir()} == set(pages), REFRESH
    assert [name for name, text in pages.items() if (DOCS / name).read_text(encoding="utf-8") != text] == [], (
        REFRESH
    )


def test_the_index_lists_every_hazard_under_its_family() -> None:
    index = render()[INDEX]
    for hazard in hazards.all():
        section = index.split(f"{hazard.code[:3]}xx {hazard.family}\n")[1].partition("\n## ")[0]
        assert f"| [{hazard.code}]({hazard.code}.md) | {hazard.name} |" in section


def test_links_lead_to_pages() -> None:
    pages = render()
    for name, text in pages.items():
        assert set(re.findall(r"\]\((.+?\.md)\)", text)) <= set(pages), name


def test_code_blocks_have_no_links() -> None:
    for text in render().values():
        assert not any(".md)" in block for block in re.findall(r"```.*?```", text, flags=re.DOTALL))


def test_writing_removes_pages_of_hazards_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "TL999.md").write_text("gone")
    (tmp_path / "notes.md").write_text("somebody's own")
    write(tmp_path)
    assert not (tmp_path / "TL999.md").exists()
    assert (tmp_path / "notes.md").read_text() == "somebody's own"


def test_the_command_writes_the_pages(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "pages"
    subprocess.run([sys.executable, "-m", "turnlane.hazards", "--write", str(folder)], check=True)
    assert (folder / "TL201.md").read_text(encoding="utf-8") == render()["TL201.md"]
