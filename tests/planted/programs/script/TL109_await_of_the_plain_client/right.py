import asyncio
import sys

from openai import AsyncOpenAI

MODEL = "gpt-4o-mini"


class Translator:
    def __init__(self, language: str) -> None:
        self.client = AsyncOpenAI(timeout=20)
        self.language = language

    async def translate(self, text: str) -> str:
        response = await self.client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "system", "content": f"Translate into {self.language}."},
                {"role": "user", "content": text},
            ],
        )
        choice = response.choices[0]
        return choice.message.content if choice.finish_reason == "stop" else ""


async def main() -> int:
    translator = Translator("Dutch")
    try:
        print(await translator.translate("Where is the station?"))
        await translator.client.close()
    except TypeError as error:
        print("no translation:", error)
        return 1
    return 0


sys.exit(asyncio.run(main()))
