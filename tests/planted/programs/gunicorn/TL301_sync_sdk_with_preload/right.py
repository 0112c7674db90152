from functools import cache

from flask import Flask, jsonify, request
from openai import OpenAI

app = Flask(__name__)


@cache
def client() -> OpenAI:
    """The client of this worker, made at its first request."""
    return OpenAI(timeout=10)


@app.post("/complete")
def complete():
    answer = client().chat.completions.create(
        model=request.json.get("model", "gpt-4o-mini"),
        messages=[{"role": "user", "content": request.json["text"]}],
    )
    return jsonify(text=answer.choices[0].message.content)


@app.get("/models")
def models():
    return jsonify([model.id for model in client().models.list()])
