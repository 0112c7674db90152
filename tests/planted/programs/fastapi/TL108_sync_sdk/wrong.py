from fastapi import FastAPI
from openai import OpenAI
from pydantic import BaseModel

app = FastAPI()
client = OpenAI()


class Translation(BaseModel):
    text: str
    language: str


@app.post("/translate")
async def translate(request: Translation):
    completion = client.chat.completions.create(
        model="gpt-4o-mini",
        messages=[
            {"role": "system", "content": f"Translate what the user says to {request.language}."},
            {"role": "user", "content": request.text},
        ],
    )
    return {"translation": completion.choices[0].message.content}
