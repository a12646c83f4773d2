"""Estimates the security of every kind of ciphertext that a client sends, from its measured noise.

Usage: python estimate.py CHECKOUT [INSTANCES] [--json FILE]

CHECKOUT is a clone of https://github.com/malb/lattice-estimator at 27a581b or later. It needs Sage,
for which wheels suffice:

    python3.11 -m venv sage && sage/bin/pip install passagemath-standard

INSTANCES is a JSON file, by default measured.json beside this program: a list of objects with
"set", "instance", "dimension" (of the secret), "log2_noise" (base-2 logarithm of the noise's
standard deviation as a fraction of the torus) and "samples", which is always "unlimited".

Prints a table; --json also writes the figures as JSON. The exit status is 1 if an instance has less
than 132 bits, and 2 if the input is invalid.
"""

import argparse
import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

LEAST_BITS = 132
ATTACKS = {"usvp": "uSVP", "bdd": "BDD", "dual_hybrid": "dual hybrid"}
FIELDS = {"set": (str,), "instance": (str,), "dimension": (int,), "log2_noise": (int, float), "samples": (str,)}


class Refused(Exception):
    """Invalid input."""


def read_instances(path):
    """Reads and checks the instances of a file: a mistake must never look like security."""
    try:
        instances = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: {error}") from error
    if not isinstance(instances, list) or not instances:
        raise Refused(f"{path}: not a list of instances, or an empty one")
    for place, instance in enumerate(instances):
        where = f"{path}: instance {place}"
        if not isinstance(instance, dict):
            raise Refused(f"{where} is not an object")
        for field, kinds in FIELDS.items():
            # isinstance would take a bool for an int.
            if type(instance.get(field)) not in kinds:
                raise Refused(f"{where}: {field!r} is missing or has to be of type {kinds[-1].__name__}")
        if instance["samples"] != "unlimited":
            raise Refused(f'{where}: "samples" has to be "unlimited": a key is used any number of times')
        if instance["dimension"] < 1 or not -64 < instance["log2_noise"] < 0:
            raise Refused(f"{where}: the dimension has to be positive, log2_noise between -64 and 0")
    return instances


def load_estimator(checkout):
    """Returns a function from dimension and noise to the bits of each attack."""
    sys.path.insert(0, str(checkout))
    try:
        from estimator import LWE, ND
        from sage.all import oo
    except ImportError as error:
        raise Refused(f"no estimator in {checkout}, or no Sage in this Python: {error}") from error
    attacks = {"usvp": LWE.primal_usvp, "bdd": LWE.primal_bdd, "dual_hybrid": LWE.dual_hybrid}

    @cache
    def estimate(dimension, log2_noise):
        error = ND.DiscreteGaussian(2 ** (64 + log2_noise))
        instance = LWE.Parameters(n=dimension, q=2**64, Xs=ND.Binary, Xe=error, m=oo)
        # The estimator's default cost model is MATZOV's.
        return {name: math.log2(attack(instance)["rop"]) for name, attack in attacks.items()}

    return estimate


def commit_of(checkout):
    """Returns the commit of the checkout."""
    git = subprocess.run(["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if git.returncode != 0:
        raise Refused(f"{checkout} is not a git checkout: {git.stderr.strip()}")
    return git.stdout.strip()


def as_markdown(commit, rows):
    """Yields the lines of the table in docs/security.md."""
    yield f"lattice-estimator {commit[:7]}, MATZOV cost model, binary secret, q = 2^64, unlimited samples. Bits:"
    yield ""
    yield f"| set | ciphertext | dimension | log2 noise | {' | '.join(ATTACKS.values())} | least |"
    yield "|" + "---|" * (len(ATTACKS) + 5)
    for row in rows:
        bits = " | ".join(f"{row[name]:.1f}" for name in ATTACKS)
        least = f"**{row['least']:.1f}**" if row["least"] < LEAST_BITS else f"{row['least']:.1f}"
        yield f"| `{row['set']}` | {row['instance']} | {row['dimension']} | {row['log2_noise']:.2f} | {bits} | {least} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("instances", type=Path, nargs="?", default=Path(__file__).with_name("measured.json"))
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    commit = commit_of(arguments.checkout)
    instances = read_instances(arguments.instances)
    estimate = load_estimator(arguments.checkout)
    rows = []
    for instance in instances:
        bits = estimate(instance["dimension"], instance["log2_noise"])
        rows.append({**instance, **bits, "least": min(bits.values())})
    for line in as_markdown(commit, rows):
        print(line)
    if arguments.json:
        table = {"estimator": commit, "cost_model": "MATZOV", "least_bits": LEAST_BITS, "instances": rows}
        arguments.json.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    # Not "least < LEAST_BITS", which is false for NaN.
    weak = [row for row in rows if not row["least"] >= LEAST_BITS]
    for row in weak:
        print(f"{row['set']}, {row['instance']}: {row['least']:.1f} bits, less than {LEAST_BITS}", file=sys.stderr)
    return 1 if weak else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        sys.exit(2)
