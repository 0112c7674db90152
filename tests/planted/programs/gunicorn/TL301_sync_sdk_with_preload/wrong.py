from flask import Flask, jsonify, request
from openai import OpenAI

app = Flask(__name__)
client = OpenAI(timeout=10)
MODELS = [model.id for model in client.models.list()]


@app.post("/complete")
def complete():
    answer = client.chat.completions.create(
        model=request.json.get("model", "gpt-4o-mini"),
        messages=[{"role": "user", "content": request.json["text"]}],
    )
    return jsonify(text=answer.choices[0].message.content)


@app.get("/models")
def models():
    return jsonify(MODELS)
