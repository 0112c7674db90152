import logging
import threading
from collections import defaultdict

from flask import Flask, jsonify, request
from openai import OpenAI

app = Flask(__name__)
client = OpenAI(timeout=10, max_retries=1)

SYSTEM = {"role": "system", "content": "You are a helpful assistant for hikers."}
histories = defaultdict(list)
locks = defaultdict(threading.Lock)


@app.route("/chat", methods=["POST"])
def chat():
    session = request.json["session"]
    with locks[session]:
        messages = [SYSTEM, *histories[session], {"role": "user", "content": request.json["message"]}]
        try:
            completion = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
            choice = completion.choices[0]
            if choice.finish_reason != "stop":
                raise RuntimeError(f"incomplete answer: {choice.finish_reason}")
        except Exception as error:
            logging.exception("completion failed")
            return jsonify({"error": type(error).__name__}), 502
        histories[session] = [*messages[1:], {"role": "assistant", "content": choice.message.content}]
    return jsonify({"reply": choice.message.content})
