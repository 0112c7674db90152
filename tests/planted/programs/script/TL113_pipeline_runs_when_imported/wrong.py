"""Print the release notes that the pipeline made."""

import argparse

from wrong_pipeline import VERSION, notes

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--upper", action="store_true")


def main() -> None:
    options = parser.parse_args()
    text = notes()
    print(VERSION, text.upper() if options.upper else text)


if __name__ == "__main__":
    main()
