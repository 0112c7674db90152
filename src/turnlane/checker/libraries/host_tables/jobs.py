"""Queues, schedulers, workflows, and functions that a cloud runs."""

from __future__ import annotations

from turnlane.checker.libraries.registration import Context, Registration, methods, rows

_CELERY = Context("Celery", "task", "own", asynchronous="never")
_RQ = Context("RQ", "task", "own", asynchronous="own loop")
_DRAMATIQ = Context(
    "Dramatiq", "task", "own"
)  # async actors share one loop, in a thread of the AsyncIO middleware
_HUEY = Context("Huey", "task", "own", asynchronous="never")
_HUEYS = "huey.Huey huey.RedisHuey huey.SqliteHuey huey.MemoryHuey huey.FileHuey huey.PriorityRedisHuey"
_ARQ = Context("arq", "task", "loop", asynchronous="loop")
_SCHEDULER = Context("APScheduler", "task", "own", asynchronous="never")
_ASYNC_SCHEDULER = Context("APScheduler", "task", "threadpool")
_SCHEDULERS = (
    "apscheduler.schedulers.background.BackgroundScheduler apscheduler.schedulers.blocking.BlockingScheduler"
)
_ASYNC_SCHEDULERS = "apscheduler.schedulers.asyncio.AsyncIOScheduler"
_AIRFLOW = Context("Airflow", "task", "own", "one", "own loop")
_FASTSTREAM = Context("FastStream", "task", "threadpool")

_QUEUE_ROWS = [
    *rows(_CELERY, "decorator", "celery.Celery.task celery.shared_task"),
    *rows(_CELERY, "subclass", "celery.Task", "run"),
    *rows(_RQ, "argument", "rq.Queue.enqueue", "0 f"),
    *rows(_RQ, "argument", "rq.Queue.enqueue_call", "0 func"),
    *rows(_RQ, "argument", "rq.Queue.enqueue_in rq.Queue.enqueue_at", "1 func"),
    *rows(_RQ, "decorator", "rq.decorators.job"),
    *rows(_DRAMATIQ, "decorator", "dramatiq.actor"),
    *rows(_HUEY, "decorator", methods(_HUEYS, "task periodic_task on_startup")),
    *rows(_HUEY, "decorator", methods("huey.contrib.djhuey", "task periodic_task db_task db_periodic_task")),
    *rows(_ARQ, "argument", "arq.func arq.cron arq.worker.func", "0 coroutine"),
    *rows(_ARQ, "argument", "arq.Worker arq.worker.Worker", "0 functions on_startup on_shutdown"),
    *rows(Context("Taskiq", "task", "threadpool"), "decorator", "taskiq.*.task taskiq_redis.*.task"),
    *rows(_SCHEDULER, "argument", methods(_SCHEDULERS, "add_job"), "0 func"),
    *rows(_SCHEDULER, "decorator", methods(_SCHEDULERS, "scheduled_job")),
    *rows(_ASYNC_SCHEDULER, "argument", methods(_ASYNC_SCHEDULERS, "add_job"), "0 func"),
    *rows(_ASYNC_SCHEDULER, "decorator", methods(_ASYNC_SCHEDULERS, "scheduled_job")),
    *rows(Context("schedule", "task", "own", "one", "never"), "argument", "schedule.*.do", "0 job_func"),
    *rows(_AIRFLOW, "decorator", "airflow.decorators.task airflow.sdk.task"),
    *rows(_AIRFLOW, "argument", "airflow.operators.python.PythonOperator", "python_callable"),
    *rows(_AIRFLOW, "argument", "airflow.providers.standard.operators.python.PythonOperator", "python_callable"),
    *rows(Context("Prefect", "task", "own", "one"), "decorator", "prefect.flow prefect.task"),
    *rows(
        _FASTSTREAM,
        "decorator",
        methods(
            "faststream.rabbit.RabbitBroker faststream.kafka.KafkaBroker faststream.nats.NatsBroker "
            "faststream.redis.RedisBroker faststream.confluent.KafkaBroker",
            "subscriber",
        ),
    ),
    *rows(Context("Temporal", "task", "threadpool"), "decorator", "temporalio.activity.defn"),
    *rows(
        Context("RabbitMQ", "task", "own", asynchronous="never"),
        "argument",
        "pika.*.basic_consume",
        "1 on_message_callback",
    ),
]

# One process serves one request after the other, and keeps its globals between them.
_LAMBDA = Context("AWS Lambda", "request", "own", asynchronous="never")
_AZURE = Context("Azure Functions", "request", "threadpool")
_AZURE_TRIGGERS = (
    "route function_name queue_trigger timer_trigger schedule blob_trigger event_grid_trigger "
    "event_hub_message_trigger service_bus_queue_trigger service_bus_topic_trigger cosmos_db_trigger "
    "generic_trigger activity_trigger"
)
_GOOGLE = Context("Google Cloud Functions", "request", "own", asynchronous="never")
_MODAL = Context("Modal", "request", "threadpool")
_RAY = Context("Ray Serve", "request", "loop")  # a def is called on the replica's loop, unless told otherwise
_BENTO = Context("BentoML", "request", "threadpool")

_CLOUD_ROWS = [
    *rows(_LAMBDA, "name", "*", "lambda_handler"),
    Registration("*", "name", ("*",), _LAMBDA, ("event", "context")),
    *rows(_AZURE, "name", "azure.functions", "main"),
    *rows(_AZURE, "decorator", methods("azure.functions.FunctionApp azure.functions.Blueprint", _AZURE_TRIGGERS)),
    *rows(_GOOGLE, "decorator", methods("functions_framework", "http cloud_event typed")),
    *rows(_GOOGLE, "decorator", methods("firebase_functions.https_fn", "on_request on_call")),
    *rows(
        _MODAL, "decorator", methods("modal", "App.function Stub.function method web_endpoint fastapi_endpoint")
    ),
    *rows(_RAY, "class decorator", "ray.serve.deployment", "__call__"),
    *rows(Context("Ray", "task", "own"), "decorator", "ray.remote"),
    *rows(_BENTO, "decorator", "bentoml.api bentoml.task bentoml.Service.api"),
]

ROWS: list[Registration] = [*_QUEUE_ROWS, *_CLOUD_ROWS]
