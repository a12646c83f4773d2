#!/usr/bin/env python3
"""Gives an imported model the name of the bundled one, which `blindscore import` gives to no other.
README.md says how it is used.
"""

import argparse
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("imported", type=Path, help="file that blindscore import wrote")
    parser.add_argument("out", type=Path, help="safetensors file to write")
    args = parser.parse_args()
    with safe_open(args.imported, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    save_file(tensors, args.out, metadata={**metadata, "name": "loan-trees"})


if __name__ == "__main__":
    main()
