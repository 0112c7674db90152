import os
import sys

from openai import OpenAI


def main():
    with OpenAI(api_key=os.environ["OPENAI_API_KEY"]) as client:
        answer = client.chat.completions.create(
            model="gpt-4o-mini",
            max_tokens=50,
            messages=[{"role": "user", "content": "Write the rental contract."}],
        )
    [choice] = answer.choices
    if choice.finish_reason != "stop":
        sys.exit(f"the contract is not complete: {choice.finish_reason}")
    with open("contract.txt", "w") as file:
        file.write(choice.message.content)
    print("contract written")


if __name__ == "__main__":
    main()
