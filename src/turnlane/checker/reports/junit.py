"""JUnit's XML, as CI servers read it: a suite for each file, a failed case for each finding."""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree

from turnlane.checker.finding import Finding
from turnlane.checker.reports import Report
from turnlane.checker.reports.position import file_line, position, shown_line

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML can't hold, escaped or not."""


def render(report: Report) -> str:
    """One document. Without findings it has one case that passed, so that a CI server sees that it ran."""
    findings = len(report.findings)
    root = ElementTree.Element(
        "testsuites", name="turnlane", tests=str(findings or 1), failures=str(findings), errors="0"
    )
    for path, group in groupby(report.findings, key=lambda finding: finding.place.path):
        listed = list(group)
        suite = _suite(root, path, len(listed), len(listed))
        for finding in listed:
            _case(suite, finding, report)
    if not findings:
        ElementTree.SubElement(
            _suite(root, "turnlane", 1, 0), "testcase", name="turnlane check", classname="turnlane"
        )
    ElementTree.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(root, encoding='unicode')}\n"


def _suite(root: ElementTree.Element, name: str, tests: int, failures: int) -> ElementTree.Element:
    return ElementTree.SubElement(
        root,
        "testsuite",
        name=_text(name),
        tests=str(tests),
        failures=str(failures),
        errors="0",
        skipped="0",
        package="turnlane",
    )


def _case(suite: ElementTree.Element, finding: Finding, report: Report) -> None:
    where = position(finding.place, report.texts)
    case = ElementTree.SubElement(
        suite,
        "testcase",
        name=f"{finding.code} {_text(str(where))}",
        classname=_text(finding.place.path.rpartition(".")[0].replace("/", ".") or finding.place.path),
        file=_text(finding.place.path),
        line=str(file_line(finding.place, report.texts)),
    )
    failure = ElementTree.SubElement(case, "failure", message=_text(finding.message), type=finding.severity)
    failure.text = _text(f"{where}: {finding.code} {finding.message}\n{shown_line(finding.place, report.texts)}")


def _text(text: str) -> str:
    return _NO_XML.sub("?", text)
