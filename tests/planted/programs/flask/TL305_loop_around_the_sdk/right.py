import logging

from flask import Flask, abort, jsonify, request
from openai import OpenAI, OpenAIError

app = Flask(__name__)
client = OpenAI(max_retries=3, timeout=20)


def complete(text):
    try:
        answer = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": f"A title for: {text}"}],
        )
        return answer.choices[0].message.content
    except OpenAIError:
        logging.exception("no title")
        return None


@app.post("/title")
def title():
    value = complete(request.json["text"])
    if value is None:
        abort(503)
    return jsonify(title=value)
