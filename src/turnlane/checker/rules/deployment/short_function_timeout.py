"""TL604: a platform's or a server's time limit that is shorter than an agent's run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from turnlane.checker.deployment.facts import DeploymentFile, Server, TimeLimit
from turnlane.checker.deployment.project import Project, StartedServer, place_of
from turnlane.checker.deployment.published import AGENT_PACKAGES, NODE_SDKS
from turnlane.checker.finding import Edit, Finding, Fix, Severity
from turnlane.checker.rule import Example, Rule
from turnlane.checker.time_limits import SHORT, too_short

_ENOUGH = 300
"""Seconds that a fix asks for: what every platform here grants."""
_GUNICORN_DEFAULT = 30.0
_AGENTS = AGENT_PACKAGES | frozenset(NODE_SDKS)


class ShortFunctionTimeout(Rule):
    code = "TL604"
    language = "deployment"
    detects = (
        "Where the packages of the same folder name an agent framework: a time limit below 60 s (from 30 s on "
        "as information) in `vercel.json`, "
        "`serverless.yml`, SAM and CloudFormation templates, Cloud Run services and `host.json` (the platform's "
        "default "
        "where it is 3 s or 6 s), and gunicorn with sync workers, which it kills after 30 s or its `--timeout`. "
        "gunicorn with threads or async workers is right: there a long run does not stop the heartbeat."
    )
    fixes = "Writes 300 seconds in place of the number (unsafe: a longer limit may cost more)."
    bad: ClassVar = (
        Example(
            '// file: vercel.json\n{\n  "functions": {\n'
            '    "app/api/chat/route.ts": { "maxDuration": 10 } // here\n  }\n}\n'
            '// file: package.json\n{\n  "engines": { "node": ">=22.13" },\n'
            '  "dependencies": { "@mastra/core": "^1.5.0" }\n}\n',
            after='// file: vercel.json\n{\n  "functions": {\n'
            '    "app/api/chat/route.ts": { "maxDuration": 300 }\n'
            "  }\n}\n"
            '// file: package.json\n{\n  "engines": { "node": ">=22.13" },\n'
            '  "dependencies": { "@mastra/core": "^1.5.0" }\n}\n',
        ),
        Example(
            "# file: template.yaml\nResources:\n  Chat:  # here\n    Type: AWS::Serverless::Function\n"
            "    Properties:\n"
            "      Handler: app.handler\n      Runtime: python3.12\n"
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
            title="The default of AWS Lambda",
        ),
        Example(
            "# file: Dockerfile\nFROM python:3.12-slim\nCOPY . .\nRUN pip install -r requirements.txt\n"
            'CMD ["gunicorn", "app:app"]  # here\n'
            "# file: requirements.txt\nag2[openai]==0.9.7\nflask\ngunicorn\n",
            title="The default of gunicorn",
        ),
    )
    good: ClassVar = (
        Example(
            "# file: serverless.yml\nprovider:\n  name: aws\n  timeout: 300\nfunctions:\n  chat:\n"
            "    handler: app.handler\n"
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
        ),
        Example(
            "# file: Dockerfile\nFROM python:3.12-slim\nCOPY . .\nRUN pip install -r requirements.txt\n"
            'CMD ["gunicorn", "app:app", "-w", "1", "-k", "uvicorn.workers.UvicornWorker"]\n'
            "# file: requirements.txt\nautogen-agentchat>=0.7,<0.8\n",
            title="Async workers",
        ),
        Example(
            "# file: serverless.yml\nprovider:\n  name: aws\nfunctions:\n  resize:\n    handler: images.handler\n"
            "# file: requirements.txt\npillow\n",
            title="No agents",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for file in project.files:
            for limit in file.limits:
                severity = too_short(limit.seconds)
                if severity is not None and project.packages_near(file, limit.code) & _AGENTS:
                    yield _limited(file, limit, severity)
        for started in project.servers:
            yield from _gunicorn(started, project)


def _limited(file: DeploymentFile, limit: TimeLimit, severity: Severity) -> Finding:
    name = f" for `{limit.name}`" if limit.name else ""
    if limit.default:
        text = (
            f"{limit.platform} ends a run after its default of {limit.seconds:g} s: `{limit.key}` is not set{name}"
        )
    else:
        text = f"{limit.platform} ends a run after {limit.seconds:g} s{name}"
    help_line = f"Set `{limit.key}` to cover the longest run with its tools, or hand the turn to a queue."
    return Finding(
        "TL604", place_of(file.path, limit.span), text, severity, help=help_line, fix=_longer(file, limit)
    )


def _longer(file: DeploymentFile, limit: TimeLimit) -> Fix | None:
    if limit.default:
        return None
    written = "00:05:00" if limit.key == "functionTimeout" else str(_ENOUGH)
    return Fix(f"Set `{limit.key}` to {_ENOUGH} s", (Edit(place_of(file.path, limit.span), written),), safe=False)


def _gunicorn(started: StartedServer, project: Project) -> Iterator[Finding]:
    server = started.server
    seconds = _GUNICORN_DEFAULT if server.timeout is None else server.timeout
    if server.program != "gunicorn" or not server.production or not _stops_for_a_run(server):
        return
    if not 0 < seconds <= SHORT:
        return
    file = project.file(started.path)
    if project.packages_near(file, server.folder) & AGENT_PACKAGES:
        which = "its default of " if server.timeout is None else ""
        text = f"gunicorn kills a sync worker that is busy for {which}{seconds:g} s, and the agent's run in it"
        help_line = (
            "Set `--timeout` above the longest run, or use workers of the class `uvicorn.workers.UvicornWorker`."
        )
        span = server.timeout_span or server.span
        yield Finding("TL604", place_of(started.path, span), text, "warning", help=help_line)


def _stops_for_a_run(server: Server) -> bool:
    """Whether a worker can't tell gunicorn that it lives while a request runs: the sync class, no threads."""
    return server.worker_class in ("", "sync") and (server.threads is None or server.threads == 1)
