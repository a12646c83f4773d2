"""Has drawings scored with what is installed: score.py --version VERSION DRAWINGS.csv MODEL..."""

from __future__ import annotations

import argparse
import contextlib
from importlib.metadata import version

import blindscore
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", required=True)
    parser.add_argument("--url", help="server; the package's own if not given")
    parser.add_argument("drawings")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    if version("blindscore") != args.version:
        raise SystemExit(f"version {version('blindscore')} is installed, not {args.version}")
    rows = np.loadtxt(args.drawings, delimiter=",")
    with contextlib.ExitStack() as stack:
        url = args.url or stack.enter_context(blindscore.LocalServer()).url
        for model in args.models:
            labels = blindscore.Client(url, model=model, key="memory").predict(rows)
            print(model, *labels)


if __name__ == "__main__":
    main()
