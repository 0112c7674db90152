import logging
import time

from flask import Flask, abort, jsonify, request
from openai import OpenAI, OpenAIError

app = Flask(__name__)
client = OpenAI(max_retries=3)


def complete(text, attempts=4):
    for attempt in range(attempts):
        try:
            answer = client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": f"A title for: {text}"}],
            )
            return answer.choices[0].message.content
        except OpenAIError as error:
            logging.warning("attempt %s: %s", attempt, error)
            time.sleep(0.1)
    return None


@app.post("/title")
def title():
    value = complete(request.json["text"])
    if value is None:
        abort(503)
    return jsonify(title=value)
