import logging

from flask import Flask, jsonify, request
from openai import OpenAI

app = Flask(__name__)
client = OpenAI(timeout=10, max_retries=1)

messages = [{"role": "system", "content": "You are a helpful assistant for hikers."}]


@app.route("/chat", methods=["POST"])
def chat():
    messages.append({"role": "user", "content": request.json["message"]})
    try:
        completion = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        choice = completion.choices[0]
        if choice.finish_reason != "stop":
            raise RuntimeError(f"incomplete answer: {choice.finish_reason}")
    except Exception as error:
        logging.exception("completion failed")
        return jsonify({"error": type(error).__name__}), 502
    reply = choice.message.content
    messages.append({"role": "assistant", "content": reply})
    return jsonify({"reply": reply})
