"""Arguments of the command line."""

import argparse


def bounded(kind, low, high):
    """Returns a parser of a bounded number on the command line."""

    def parse(text):
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not within {low} to {high}")
        return value

    parse.__name__ = kind.__name__
    return parse
