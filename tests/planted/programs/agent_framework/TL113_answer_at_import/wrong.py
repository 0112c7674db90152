from wrong_words import WORDS

if __name__ == "__main__":
    for word in WORDS:
        print("*", word)
