from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from threading import Event

from flask import Flask, jsonify, request
from openai import OpenAI

app = Flask(__name__)
pool = ThreadPoolExecutor(8)
client = OpenAI(timeout=10, max_retries=0)


def step(text: str) -> str:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": text}])
    choice = answer.choices[0]
    return (choice.message.content or "") if choice.finish_reason == "stop" else ""


def plan(goal: str, stop: Event) -> str:
    for _ in range(6):
        if stop.is_set():
            break
        goal = step(goal)
    return goal


@app.post("/plans")
def plans():
    stop = Event()
    future = pool.submit(plan, request.json["goal"], stop)
    try:
        return jsonify(plan=future.result(timeout=1))
    except TooLate:
        stop.set()
        return jsonify(error="took too long"), 504
