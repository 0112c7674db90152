"""TL604, TL605: start commands, time limits, and which project they belong to."""

from __future__ import annotations

import pytest

from turnlane.checker.deployment.language import DEPLOYMENT
from turnlane.checker.deployment.project import servers

AGENTS = {"requirements.txt": "autogen-agentchat>=0.7,<0.8\n"}


def codes(said) -> list[tuple[str, str, int, str]]:
    return [(one.code, one.place.path, one.place.line, one.severity) for one in said]


def started(**files: str):
    named = {path.replace("__", "/").replace("_dot_", "."): text for path, text in files.items()}
    return servers({path: DEPLOYMENT.extract(path, text.encode()) for path, text in named.items()})


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn --preload -w 4 -k uvicorn.workers.UvicornWorker main:app",
        "gunicorn main:app --workers=4 --worker-class uvicorn.workers.UvicornWorker --preload",
        '["gunicorn", "-w4", "--preload", "-k", "uvicorn.workers.UvicornWorker", "main:app"]',
        'exec gunicorn -w "4" --preload -kuvicorn.workers.UvicornWorker main:app > /dev/stdout 2>&1',
        '["sh", "-c", "alembic upgrade head && gunicorn --preload -w 4 -k gevent main:app"]',
        "PORT=80 poetry run gunicorn -w 4 \\\n  # why\n  --preload -k uvicorn.workers.UvicornWorker main:app",
        '["/usr/bin/tini", "--", "/opt/venv/bin/gunicorn", "-w", "4", "--preload", "main:app", "-k", "gevent"]',
    ],
)
def test_every_form_of_a_command(check, command) -> None:
    dockerfile = f"FROM python:3.12\nCMD {command}\n"
    (found,) = check({**AGENTS, "Dockerfile": dockerfile})
    assert (found.code, found.severity) == ("TL605", "warning")
    line = dockerfile.split("\n")[found.place.line - 1]
    assert line[found.place.column : found.place.end_column] == "--preload"
    (server,) = started(Dockerfile=dockerfile)
    assert (server.server.app, server.server.workers, server.server.several) == ("main:app", 4, True)


@pytest.mark.parametrize(
    "command",
    [
        "echo gunicorn --preload app:app",
        "pip install gunicorn --preload",
        "gunicorn -k gevent app:app # --preload",
        "python app.py --preload",
        "gunicorn -k uvicorn.workers.UvicornWorker app:app",
        "hypercorn app:app --workers 4",
    ],
)
def test_what_only_looks_like_preloading(check, command) -> None:
    assert check({**AGENTS, "Dockerfile": f"FROM python:3.12\nCMD {command}\n"}) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Procfile", "web: gunicorn --preload -k gevent app:app\n"),
        ("app.service", "[Service]\nExecStart=/venv/bin/gunicorn --preload -k gevent app:app\n"),
        ("docker-compose.yml", "services:\n  web:\n    command: gunicorn --preload -k gevent app:app\n"),
        ("compose.yaml", 'services:\n  web:\n    command: ["gunicorn", "--preload", "-k", "gevent", "app:app"]\n'),
        ("app.yaml", "runtime: python312\nentrypoint: gunicorn --preload -k gevent app:app\n"),
        ("render.yaml", "services:\n  - type: web\n    startCommand: gunicorn --preload -k gevent app:app\n"),
        ("fly.toml", '[processes]\nweb = "gunicorn --preload -k gevent app:app"\n'),
        ("railway.json", '{"deploy": {\n"startCommand": "gunicorn --preload -k gevent app:app"}}'),
        ("start.sh", "#!/bin/sh\ngunicorn --preload -k gevent app:app &\n"),
        ("gunicorn.conf.py", 'worker_class = "gevent"\npreload_app = True\n'),
        ("deploy/Dockerfile", "FROM python:3.12\nCMD uwsgi --http :80 --module app:app -p 4\n"),
    ],
)
def test_every_file_that_starts_a_server(check, path, text) -> None:
    assert [(one.code, one.place.path) for one in check({**AGENTS, path: text})] == [("TL605", path)]
    assert check({"requirements.txt": "flask\n", path: text}) == [], "no agents here"


def test_preloading_in_the_settings_file_that_the_command_names(check) -> None:
    files = {
        **AGENTS,
        "Dockerfile": "FROM python:3.12\nCMD gunicorn -c /srv/gunicorn.conf.py app:app\n",
        "deploy/gunicorn.conf.py": 'workers = 8\npreload_app = True\nworker_class = "gthread"\ntimeout = 600\n',
    }
    said = check(files)
    assert ("TL605", "deploy/gunicorn.conf.py", 2, "warning") in codes(said)
    assert {one.code for one in said} == {"TL605"}
    (fix,) = {one.fix for one in said if one.fix}
    assert [edit.text for edit in fix.edits] == ["preload_app = False"]
    assert not fix.safe


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("Dockerfile", "FROM python:3.12\nCMD uvicorn app:app --reload\n", True),
        ("Dockerfile", "FROM python:3.12\nCMD flask run --debug\n", True),
        ("Dockerfile", 'FROM python:3.12\nCMD ["fastapi", "dev", "app.py"]\n', True),
        ("Procfile", "web: python -m uvicorn app:app --reload\n", True),
        ("Dockerfile", "FROM python:3.12 AS development\nCMD uvicorn app:app --reload\n", False),
        ("Dockerfile.dev", "FROM python:3.12\nCMD uvicorn app:app --reload\n", False),
        ("docker-compose.yml", "services:\n  web:\n    command: uvicorn app:app --reload\n", False),
        ("run.sh", "uvicorn app:app --reload\n", False),
        ("Makefile", "run:\n\tuvicorn app:app --reload\n", False),
        ("Dockerfile", "FROM python:3.12\n# --reload for development\nCMD uvicorn app:app\n", False),
        ("Dockerfile", "FROM python:3.12\nCMD fastapi run app.py\n", False),
    ],
)
def test_hot_reloaders(check, path, text, found) -> None:
    said = codes(check({**AGENTS, path: text}))
    assert said == ([("TL605", path, 2 if path == "Dockerfile" else 1, "information")] if found else [])


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("app:app", True),
        ("-w 4 app:app", True),
        ("--timeout 25 app:app", True),
        ("--timeout=25 --worker-class sync app:app", True),
        ("--timeout 120 app:app", False),
        ("--timeout 0 app:app", False),
        ("-t $TIMEOUT app:app", False),
        ("--threads 8 app:app", False),
        ("-k uvicorn.workers.UvicornWorker app:app", False),
        ("--worker-class eventlet -w 1 app:app", False),
    ],
)
def test_gunicorn_kills_long_runs_of_sync_workers(check, arguments, found) -> None:
    dockerfile = f"FROM python:3.12\nCMD gunicorn {arguments}\n"
    assert [one.code for one in check({**AGENTS, "Dockerfile": dockerfile})] == (["TL604"] if found else [])
    assert check({**AGENTS, "run.sh": f"gunicorn {arguments}\n"}) == [], "a script may be for development"


def test_the_packages_may_lie_below_the_image(check) -> None:
    files = {
        "backend/requirements.txt": "ag2==0.9.7\n",
        "Dockerfile": "FROM x\nCMD gunicorn --chdir backend app:app\n",
    }
    assert [one.code for one in check(files)] == ["TL604"]
    named = {
        "services/bot/requirements.txt": "ag2==0.9.7\n",
        "requirements.txt": "flask\n",
        "Dockerfile": "FROM x\nCOPY services/bot/requirements.txt .\nCMD gunicorn app:app\n",
    }
    assert [one.code for one in check(named)] == ["TL604"]
    elsewhere = {
        "bot/requirements.txt": "ag2==0.9.7\n",
        "web/requirements.txt": "flask\n",
        "web/Dockerfile": "CMD gunicorn a:b\n",
    }
    assert check(elsewhere) == []


SERVERLESS = "provider:\n  name: aws\n  runtime: python3.12\nfunctions:\n  chat:\n    handler: src/app.handler\n"
SAM = "Resources:\n  Chat:\n    Type: AWS::Serverless::Function\n    Properties:\n      CodeUri: src/\n"
RUN = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: chat\nspec:\n  template:\n    spec:\n"
VERCEL = '{\n  "functions": {\n    "api/**": { "memory": 1024, "maxDuration": %s }\n  }\n}\n'


@pytest.mark.parametrize(
    ("path", "text", "line", "severity"),
    [
        ("vercel.json", VERCEL % 10, 3, "warning"),
        ("vercel.json", VERCEL % 45, 3, "information"),
        ("vercel.json", VERCEL % 60, None, ""),
        ("vercel.json", VERCEL % '"max"', None, ""),
        ("vercel.json", VERCEL % "true", None, ""),
        ("serverless.yml", SERVERLESS, 5, "warning"),
        ("serverless.yml", SERVERLESS + "    timeout: 29\n", 7, "warning"),
        ("serverless.yml", SERVERLESS + "    timeout: 300\n", None, ""),
        ("serverless.yml", SERVERLESS + "    timeout: ${env:T}\n", None, ""),
        ("serverless.yml", SERVERLESS.replace("name: aws", "name: aws\n  timeout: 120"), None, ""),
        ("serverless.yml", SERVERLESS.replace("aws", "google"), None, ""),
        ("template.yaml", SAM, 2, "warning"),
        ("template.yaml", SAM + "      Timeout: 10\n", 6, "warning"),
        ("template.yaml", SAM + "      Timeout: !Ref Seconds\n", None, ""),
        ("template.yaml", "Globals:\n  Function:\n    Timeout: 300\n" + SAM, None, ""),
        ("service.yaml", RUN + "      timeoutSeconds: 20\n", 8, "warning"),
        ("service.yaml", RUN + "      containers: []\n", None, ""),
        ("service.yaml", "apiVersion: v1\nkind: Service\nspec:\n  timeoutSeconds: 3\n", None, ""),
        ("host.json", '{\n  "functionTimeout": "00:00:29"\n}', 2, "warning"),
        ("host.json", '{\n  "functionTimeout": "00:00:30"\n}', 2, "information"),
        ("host.json", '{\n  "functionTimeout": "00:10:00"\n}', None, ""),
    ],
)
def test_limits_of_the_platforms(check, path, text, line, severity) -> None:
    expected = [("TL604", path, line, severity)] if line else []
    assert codes(check({**AGENTS, path: text})) == expected
    assert check({"requirements.txt": "pillow\n", path: text}) == []


def test_a_function_whose_own_folder_has_no_agents(check) -> None:
    files = {**AGENTS, "template.yaml": SAM, "src/requirements.txt": "pillow\n"}
    assert check(files) == []


def test_places_count_in_bytes_beyond_ascii(check) -> None:
    text = "# é😀\nfunctions: # ü\n  chat: { handler: 'a.b', note: 'ß', timeout: 9 }\nprovider: { name: aws }\n"
    (found,) = check({**AGENTS, "serverless.yml": text})
    line = text.split("\n")[found.place.line - 1].encode()
    assert line[found.place.column : found.place.end_column] == b"9"


@pytest.mark.parametrize(
    ("path", "text"), [("template.yaml", "a: AWS::Lambda::Function\nb: [1\n"), ("vercel.json", "{")]
)
def test_a_broken_file_is_one_note(check, path, text) -> None:
    (note,) = check({path: text})
    assert note.path == path
    assert "not valid" in note.text


def test_servers_for_the_python_rules() -> None:
    found = started(
        backend__Dockerfile="FROM x\nCMD gunicorn -c gunicorn.conf.py api.main:app\n",
        backend__gunicorn_dot_conf_dot_py="workers = 4\npreload_app = True\n",
        Procfile="web: uvicorn --app-dir src main:app --reload\n",
    )
    by_path = {one.path: one for one in found}
    image = by_path["backend/Dockerfile"]
    assert (image.folder, image.server.app, image.server.several) == ("backend", "api.main:app", True)
    assert image.server.forks_after_import
    assert by_path["Procfile"].folder == "src"
    assert by_path["Procfile"].server.reload
