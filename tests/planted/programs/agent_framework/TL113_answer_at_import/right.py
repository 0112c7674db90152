import asyncio

from right_words import find

if __name__ == "__main__":
    for word in asyncio.run(find()):
        print("*", word)
