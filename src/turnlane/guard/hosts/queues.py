"""Workers of a queue: Celery, RQ and Dramatiq. A task is a request; its arguments say whose."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from turnlane.guard.hosts.calls import watch, with_arguments, wrapped
from turnlane.guard.imports import when_imported
from turnlane.guard.patching import replace
from turnlane.guard.requests import Request


def install() -> None:
    """Wait for each of them."""
    when_imported("celery.app.trace", _celery)
    when_imported("rq.job", _rq)
    when_imported("dramatiq.actor", _dramatiq)


def _celery(module: ModuleType) -> None:
    def make(original: Any) -> Any:
        @functools.wraps(original)
        def build_tracer(name: str, task: Any, *args: Any, **kwargs: Any) -> Any:
            return wrapped(original(name, task, *args, **kwargs), functools.partial(_celery_task, name, task))

        return build_tracer

    replace(module, "build_tracer", make)


def _celery_task(name: str, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    uuid, task_args, task_kwargs = (*args, *(kwargs[key] for key in ("uuid", "args", "kwargs") if key in kwargs))[
        :3
    ]
    return with_arguments(Request("celery", f"task {name}", id=str(uuid)), task.run, task_args, task_kwargs)


def _rq(module: ModuleType) -> None:
    watch(module.Job, "perform", _job)


def _dramatiq(module: ModuleType) -> None:
    watch(module.Actor, "__call__", _message)


def _job(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    job = args[0]
    return with_arguments(Request("rq", f"job {job.func_name}", id=str(job.id)), job.func, job.args, job.kwargs)


def _message(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    actor = args[0]
    return with_arguments(Request("dramatiq", f"message of {actor.actor_name}"), actor.fn, args[1:], kwargs)
