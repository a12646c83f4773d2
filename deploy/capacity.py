#!/usr/bin/env python3
"""What a fleet needs for a number of users, as a table in Markdown.

    python3 deploy/capacity.py
    python3 deploy/capacity.py --users 50000 --core-hour 0.05 --gb-month 0.02 --egress-gb 0.08

Users ask in visits: a key is prepared when a visit starts, and stays in memory until it ends.
With S = users * answers / visit / 86,400 * peak visits a second:

    answers a second   A = S * visit
    keys in memory     K = S * minutes * 60, at most one for each user
    cores, keys kept   (A * score + S * prepare) / load
    cores, none kept   A * (score + prepare) / load
    memory for keys    K * prepared
    stored             users * key
    rewritten a month  stored * 8: a use renews a key once per eighth of its 30 days
    egress a month     users * answers * 30 * response

Costs are for the cores of the peak all month, with keys kept, and without the store's requests.
They are only shown if all three prices are given, in any currency: prices differ by region and
date.
"""

import argparse
from dataclasses import dataclass


@dataclass
class Model:
    """A model's figures from docs/measurements.md, on one core of the machine described there."""

    name: str
    key_bytes: float
    #: What docs/operations.md allows for a prepared key.
    prepared_bytes: float
    prepare_seconds: float
    #: With HTTP, for a linear model: two cores scored 3,732 a second with their clients on them.
    score_seconds: float
    response_bytes: float


MODELS = [
    Model("mnist-net", 10_423_620, 80e6, 0.2, 0.49, 4_216),
    Model("mnist-linear", 19_812, 0.1e6, 0.001, 2 / 3732, 24_444),
]


def core_seconds(model: Model, answers: float, preparations: float) -> float:
    """Returns the time of one core that answers and preparations of keys take."""
    return answers * model.score_seconds + preparations * model.prepare_seconds


def amount(value: float) -> str:
    """Returns bytes in a readable unit."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000:
            return f"{value:,.3g} {unit}"
        value /= 1000
    return f"{value:,.3g} PB"


def number(value: float) -> str:
    """Returns a number with at most two digits after the point."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def row(model: Model, users: int, given: argparse.Namespace) -> list[str]:
    """Returns what some users of a model need."""
    answers_a_month = users * given.answers * 30
    visits = users * given.answers / given.visit / 86_400 * given.peak
    answers = visits * given.visit
    kept = min(users, visits * given.minutes * 60)
    cores = core_seconds(model, answers, visits) / given.load
    stored, egress = users * model.key_bytes, answers_a_month * model.response_bytes
    cells = [
        f"`{model.name}`",
        f"{users:,}",
        number(answers),
        number(cores),
        number(core_seconds(model, answers, answers) / given.load),
        f"{number(kept)}, {amount(kept * model.prepared_bytes)}",
        amount(stored),
        amount(stored * 8),
        amount(egress),
    ]
    if given.core_hour is not None:
        cost = cores * 730 * given.core_hour + (stored * given.gb_month + egress * given.egress_gb) / 1e9
        cells.append(f"{1000 * cost / answers_a_month:.3g}")
    return cells


def positive(text: str) -> float:
    """Reads a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[10**3, 10**5, 10**7])
    parser.add_argument("--answers", type=positive, default=10, help="answers a user asks for in a day (10)")
    parser.add_argument("--visit", type=positive, default=5, help="answers in a visit (5)")
    parser.add_argument("--minutes", type=positive, default=10, help="length of a visit (10)")
    parser.add_argument("--peak", type=positive, default=4, help="load at the busiest time, as a multiple of the average (4)")
    parser.add_argument("--load", type=positive, default=0.6, help="share of the cores that is used at the peak (0.6)")
    parser.add_argument("--core-hour", type=positive, help="price of a core for an hour")
    parser.add_argument("--gb-month", type=positive, help="price of a GB in the object store for a month")
    parser.add_argument("--egress-gb", type=positive, help="price of a GB sent to clients")
    given = parser.parse_args()
    prices = [given.core_hour, given.gb_month, given.egress_gb]
    if None in prices and any(prices):
        parser.error("--core-hour, --gb-month and --egress-gb are needed together")
    if min(given.users) < 1:
        parser.error("--users has to be at least 1")
    columns = ["model", "users", "answers a second", "cores, keys kept", "cores, none kept", "keys in memory"]
    columns += ["stored", "rewritten a month", "egress a month"]
    if None not in prices:
        columns.append("cost of 1,000 answers")
    rows = [row(model, users, given) for model in MODELS for users in given.users]
    for cells in [columns, ["---"] * len(columns), *rows]:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
