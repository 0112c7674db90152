"""The report as a page and as text: everything is there, and nothing from the program is markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from tests.probe.made_up import clean, request, shared_agent

from turnlane.probe.html import page
from turnlane.probe.plots import latency, troubles
from turnlane.probe.report import Evidence, FaultReport, Level
from turnlane.probe.text import text
from turnlane.probe.timeline import MAX_LANES, timeline

VOID = {"meta", "br", "img", "link", "input"}


class Structure(HTMLParser):
    """Which elements there are, and whether each is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.mistakes: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.mistakes.append(tag)


def test_the_page_is_well_formed_and_needs_nothing_from_elsewhere() -> None:
    html = page(shared_agent())
    structure = Structure(html)
    assert structure.mistakes == []
    assert structure.open == []
    addresses = [value for _, attrs in structure.seen for name, value in attrs.items() if name in ("src", "href")]
    assert addresses == []
    assert "url(" not in html
    assert "@import" not in html


def test_what_came_from_the_program_is_no_markup() -> None:
    html = page(shared_agent())
    assert "<script>alert" not in html
    assert "zebra&lt;script&gt;" in html
    assert "Error code: 400 &lt;b&gt;" in html


def test_the_page_says_the_verdict_first_and_then_what_speaks_for_it() -> None:
    html = page(shared_agent())
    wanted = [
        "TL201: One agent object serves every user.",
        "fresh agents",
        "Levels",
        "Errors by first cause",
        "Leaks",
    ]
    places = [html.index(part) for part in wanted]
    assert places == sorted(places)
    assert "Do this:</strong> Build the agent per turn." in html
    assert "/srv/app.py:5" in html


def test_a_clean_report_says_so() -> None:
    html = page(clean())
    assert "Nothing went wrong in 4 requests." in html
    assert "Errors by first cause" not in html
    assert "Nothing went wrong in 4 requests." in text(clean())


def test_failures_that_nothing_explains_are_not_called_clean() -> None:
    failing = replace(clean(), levels=(Level(concurrency=1, requests=4, succeeded=2),))
    assert "Of 4 requests 2 failed; no verdict says why." in text(failing, width=200)


def test_leaks_without_a_verdict_are_not_called_clean() -> None:
    leaking = replace(clean(), levels=(Level(concurrency=1, requests=4, succeeded=4, leaks=3, lost=1),))
    told = "Of 4 requests 3 leaked another user's words and 1 lost or reordered their own; no verdict says why."
    assert told in text(leaking, width=200)


def test_every_request_is_a_bar_and_a_leak_an_arc() -> None:
    report = shared_agent()
    requests = [one for one in report.requests if one.concurrency == 5]
    svg = timeline(requests, report.leaks, title="t")
    assert svg.count('class="request"') == 4
    assert svg.count('class="arc"') == 1
    assert re.findall(r'class="bar (\w+)"', svg) == ["leaked", "failed", "lost", "fine"]
    assert "user 0&#x27;s prompt holds zebra" in svg


def test_of_too_many_conversations_those_with_a_fault_are_drawn() -> None:
    many = [request(2 * number, 20) for number in range(MAX_LANES + 30)]
    many[-1] = replace(many[-1], lost=True)
    svg = timeline(many, (), title="t")
    assert svg.count('class="label"') == MAX_LANES
    assert 'class="bar lost"' in svg
    assert "30 more conversations are not drawn; nothing went wrong in them." in svg
    assert "something went wrong in 30 of them" in timeline(
        [replace(one, lost=True) for one in many], (), title="t"
    )


def test_a_level_of_which_nothing_was_measured_draws_no_line() -> None:
    assert latency([Level(concurrency=1, requests=0, succeeded=0)]) == ""
    assert "errors at 1: 0 of 0" in troubles([Level(concurrency=1, requests=0, succeeded=0)])


def test_the_text_names_cause_agent_tool_and_place() -> None:
    told = text(shared_agent(), width=120)
    assert "TL201 One agent object serves every user." in told
    assert "confidence 95%, from 5 users at once, /srv/app.py:5" in told
    assert "fresh agents" in told
    assert "vanished" in told
    assert (
        "1 × BadRequestError: tool_calls must be followed by tool messages (guard, agent support, tool pay)"
        in told
    )
    assert "at /srv/app.py:12 chat: return await agent.run(task=text)" in told
    assert "user 0's prompt held zebra<script>, the word of user 1, 5 at once" in told
    assert "More: turnlane explain TL201" in told
    assert "\x1b[" not in told


HOSTILE = "[/INST] [bold] \x1b[31m \x00 \u202e \ud800"


def test_what_came_from_the_program_neither_breaks_the_text_nor_steers_the_terminal() -> None:
    report = shared_agent()
    evidence = (Evidence(experiment="5 at once", before=HOSTILE, after=HOSTILE),)
    fault = FaultReport(fault="500=5%", met=1, shown_as={HOSTILE: 1}, repeated=(HOSTILE,))
    verdict = replace(report.verdicts[0], summary=HOSTILE, evidence=evidence)
    told = text(replace(report, verdicts=(verdict,), faults=(fault,), notes=(HOSTILE,)), width=300)
    assert told.count("[/INST] [bold] \ufffd[31m \ufffd \ufffd \ufffd") == 6
    assert "\x1b" not in told


def test_a_narrow_terminal_shows_fewer_columns_and_cuts_none() -> None:
    for width in (40, 80, 95):
        table = text(clean(), width=width).split("\n\n")[1]
        assert "users" in table
        assert "lost" in table
        assert "…" not in table
        assert ("calls" in table) == (width > 40)
        assert max(map(len, table.splitlines())) <= width
