from flask import Flask, jsonify, request
from openai import OpenAI

app = Flask(__name__)
openai_client = OpenAI()


@app.route("/explain", methods=["POST"])
def explain():
    question = request.get_json()["question"]
    response = openai_client.chat.completions.create(
        model="gpt-4o-mini",
        max_tokens=150,
        messages=[
            {"role": "system", "content": "Explain it to a ten year old."},
            {"role": "user", "content": question},
        ],
    )
    choice = response.choices[0]
    if choice.finish_reason != "stop":
        return jsonify({"error": "the answer is incomplete", "reason": choice.finish_reason}), 502
    return jsonify({"explanation": choice.message.content})
