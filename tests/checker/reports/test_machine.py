"""What programs read: JSON, SARIF by its schema, GitHub's commands, JUnit's XML."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest

from turnlane.checker.finding import SEVERITIES, Finding, Place
from turnlane.checker.options import OUTPUT_FORMATS
from turnlane.checker.reports import Report, render
from turnlane.checker.texts import Texts

SCHEMA = jsonschema_rs.validator_for(
    json.loads((Path(__file__).parents[1] / "data/sarif-schema-2.1.0.json").read_text()), validate_formats=True
)


def sarif(report: Report) -> dict[str, Any]:
    log = json.loads(render("sarif", report))
    assert [error.message for error in SCHEMA.iter_errors(log)] == []
    run: dict[str, Any] = log["runs"][0]
    return run


def test_the_schema_refuses_what_is_wrong(report: Report) -> None:
    log = json.loads(render("sarif", report))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not SCHEMA.is_valid(log)


def test_sarif_without_findings(empty: Report) -> None:
    assert sarif(empty)["results"] == []


def test_sarif_has_everything(report: Report) -> None:
    run = sarif(report)
    first, second, third = run["results"]
    assert [one["level"] for one in run["results"]] == ["error", "warning", "note"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == ["TL106", "TL102", "TL201"]
    assert all(rule["help"]["markdown"].startswith(f"# {rule['id']} ") for rule in rules)
    assert first["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 5,
        "startColumn": 13,
        "endLine": 5,
        "endColumn": 24,
    }
    steps = first["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in steps] == [
        "handler `chat` (FastAPI)",
        "`f` is called, cell 2, line 2",
    ]
    (change,) = first["fixes"][0]["artifactChanges"]
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 5, "startColumn": 13, "endLine": 5, "endColumn": 13},
            "insertedContent": {"text": "await "},
        }
    ]
    assert "startColumn" not in second["locations"][0]["physicalLocation"]["region"]
    assert third["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "web/a%20b.ts"
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note["message"]["text"] for note in notes] == ["it does not parse", "something else"]


def test_sarif_knows_a_finding_again_when_lines_move(report: Report) -> None:
    def fingerprint(text: str, line: int) -> str:
        finding = Finding("TL101", Place("x.py", line, 0, line, 1), "wrong", "error")
        run = sarif(Report((finding,), (), Texts({"x.py": text.encode()}), 1))
        print_: str = run["results"][0]["partialFingerprints"]["turnlane/v1"]
        return print_

    assert fingerprint("f()\n", 1) == fingerprint("\n\nf()\n", 3) != fingerprint("g()\n", 1)


@pytest.mark.parametrize("path", ["/abs/x.py", "a#b?.py", "ü ñ.py", "bad\udce9.py", "a:b.py"])
def test_sarif_of_odd_names(path: str) -> None:
    finding = Finding("TL101", Place(path, 1, 0, 1, 1), "wrong", "error")
    sarif(Report((finding,), (), Texts({path: b"f()\n"}), 1))


@pytest.mark.usefixtures("_here")
def test_json_has_the_shape_of_ruffs(report: Report, tmp_path: Path) -> None:
    first, second, third = json.loads(render("json", report))
    ruffs = {"cell", "code", "end_location", "filename", "fix", "location", "message", "noqa_row", "url"}
    assert ruffs | {"severity", "name", "help", "trace", "file_location"} == first.keys()
    assert first["filename"] == str(tmp_path / "app.py")
    assert (first["location"], first["end_location"]) == ({"row": 5, "column": 13}, {"row": 5, "column": 24})
    assert first["fix"]["applicability"] == "safe"
    assert first["fix"]["edits"][0]["content"] == "await "
    assert [step["cell"] for step in first["trace"]] == [None, 2]
    assert (second["cell"], second["location"]) == (2, {"row": 2, "column": 6})
    assert third["fix"]["applicability"] == "unsafe"
    assert third["end_location"] == {"row": 4, "column": 2}


def test_json_names_the_line_of_the_notebooks_file(report: Report) -> None:
    row = json.loads(render("json", report))[1]["file_location"]["row"]
    assert "y = [f()]" in report.texts.raw("n.ipynb").splitlines()[row - 1]


def test_github_commands(report: Report) -> None:
    first, second, third = render("github", report).splitlines()
    assert first == (
        "::error title=turnlane (TL106),file=app.py,line=5,col=13,endLine=5,endColumn=24"
        "::app.py:5:13: TL106 `agent.run` is not awaited: 100%25, really"
    )
    row = re.match(r"::warning title=turnlane \(TL102\),file=n\.ipynb,line=(\d+)::", second)
    assert row
    assert "y = [f()]" in report.texts.raw("n.ipynb").splitlines()[int(row[1]) - 1]
    assert third.startswith("::notice title=turnlane (TL201),file=web/a b.ts,line=2,endLine=4::")


def test_github_properties_are_escaped() -> None:
    finding = Finding("TL101", Place("a,b:c.py", 1, 0, 1, 1), "one\ntwo", "error")
    said = render("github", Report((finding,), (), Texts({"a,b:c.py": b"f()\n"}), 1))
    assert "file=a%2Cb%3Ac.py," in said
    assert said.endswith("one%0Atwo\n")


def test_junit_is_read_back(report: Report) -> None:
    root = ElementTree.fromstring(render("junit", report).encode())
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "3", "3")
    assert [suite.get("name") for suite in root] == ["app.py", "n.ipynb", "web/a b.ts"]
    for suite in root:
        assert suite.get("tests") == str(len(suite)) == suite.get("failures")
    failures = [failure.get("message") for failure in root.iter("failure")]
    assert failures == [
        "`agent.run` is not awaited: 100%, really",
        "a loop in <a cell> & more",
        "one `agent` for all?[0m",
    ]
    assert "agent.run())  # 日本" in (root.find(".//failure").text or "")  # type: ignore[union-attr]


def test_junit_without_findings_has_a_case_that_passed(empty: Report) -> None:
    root = ElementTree.fromstring(render("junit", empty).encode())
    assert root.get("failures") == "0"
    assert [case.get("name") for case in root.iter("testcase")] == ["turnlane check"]
    assert root.find(".//failure") is None


@pytest.mark.parametrize("name", OUTPUT_FORMATS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_every_format_tells_every_severity(name: str, severity: Any) -> None:
    finding = Finding("TL101", Place("x.py", 1, 0, 1, 1), "wrong", severity)
    words = {"sarif": "note", "github": "notice"} if severity == "information" else {}
    assert words.get(name, severity) in render(name, Report((finding,), (), Texts({"x.py": b"f()\n"}), 1))
