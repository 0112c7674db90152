import asyncio
import logging

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from celery import Celery
from celery.signals import worker_process_init

app = Celery("inbox")
log = logging.getLogger(__name__)

loop = model = None


def run(text):
    agent = AssistantAgent("classifier", model, system_message="bug, question or praise?")
    return loop.run_until_complete(agent.run(task=text)).messages[-1].to_text()


@worker_process_init.connect
def start(**_):
    global loop, model
    loop = asyncio.new_event_loop()
    model = OpenAIChatCompletionClient(model="gpt-4o-mini", timeout=3, max_retries=0)
    # the first call is slow: make it before work comes in
    log.warning("ready: %s", run("hello"))


@app.task(name="classify")
def classify(text):
    return run(text)
