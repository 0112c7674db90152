import os

import openai
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Text(BaseModel):
    text: str


@app.post("/spell")
async def spell(body: Text):
    client = openai.AsyncOpenAI(api_key=os.environ["OPENAI_API_KEY"])
    completion = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": "Correct the spelling."},
            {"role": "user", "content": body.text},
        ],
    )
    return {"text": completion.choices[0].message.content}
