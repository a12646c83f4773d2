"""The tables of a run, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from .record import Record, Results, TaskRecord

#: What the tables and plots call the systems.
NAMES = {"blindscore": "Blindscore", "concrete": "Concrete ML", "tenseal": "TenSEAL", "openfhe": "OpenFHE"}
#: Lines of the page between which the tables stand.
START, END = "<!-- Written by cargo xtask compare. -->", "<!-- End of what cargo xtask compare has written. -->"


def seconds(value: float) -> str:
    """Returns a time with two digits or more, in a unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{digits(value / size)} {unit}"
    return f"{digits(value / 1e-6)} us"


def size(value: float) -> str:
    """Returns a number of bytes with two digits or more, in a unit that suits it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{digits(value / factor)} {unit}"
    return f"{round(value)} B"


def digits(value: float) -> str:
    """Returns a number with three digits, or all before the point."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def ratio(value: float) -> str:
    """Returns how many times as much something is."""
    return f"{digits(value)} x"


def spread(values: list[float]) -> str:
    """Returns the median, with the range if there are several values."""
    middle = seconds(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({seconds(min(values))} to {seconds(max(values))})"


def share(part: int, whole: int) -> str:
    """Returns a share of rows."""
    return f"{part / whole:.1%}".replace("%", " %") if whole else "no rows"


def decided(record: Record) -> str:
    """Returns how many rows are decided as by the plain model."""
    found = record.agreement
    if found is None:
        return ""
    refused = f", {found.refused} refused" if found.refused else ""
    return f"{found.same:,} of {found.rows:,}, {found.how}{refused}"


def batch(record: Record) -> str:
    """Returns the time of a row where many are scored at once."""
    found = record.batch
    if found is None:
        return "same as for one row"
    return f"{seconds(found.score_s / found.rows)}, {found.rows:,} rows"


def batch_processor(record: Record) -> str:
    return seconds(record.batch.processor_s / record.batch.rows) if record.batch else "same as for one row"


def batch_bytes(record: Record) -> str:
    found = record.batch
    return f"{size(found.query_bytes / found.rows)}, {size(found.response_bytes / found.rows)}" if found else "same as for one row"


#: Lines of a task's table: a title, and a system's cell.
LINES: list[tuple[str, Callable[[Record], str]]] = [
    ("scheme", lambda record: record.facts.scheme),
    ("security, as claimed", lambda record: record.facts.security),
    ("one row on the server, median (range)", lambda record: spread(record.row_s())),
    ("processor time per row", lambda record: seconds(record.processor_s())),
    ("encrypting and decrypting a row", lambda record: seconds(record.client_s())),
    ("making the keys", lambda record: seconds(record.facts.keys_s)),
    ("evaluation keys", lambda record: size(record.facts.key_bytes)),
    ("query", lambda record: size(record.facts.query_bytes)),
    ("response", lambda record: size(record.facts.response_bytes)),
    ("many rows: time per row", batch),
    ("many rows: processor time per row", batch_processor),
    ("many rows: query and response per row", batch_bytes),
    ("timed rows decided as in the clear", lambda record: f"{record.tried_same:,} of {record.tried:,}"),
    ("decided as in the clear", decided),
    ("accuracy", lambda record: share(record.agreement.right, record.agreement.rows)),
    ("largest difference of a probability", lambda record: f"{record.agreement.difference:.1g}"),
]


def beside(records: list[Record]) -> list[str]:
    """Returns lines with the systems' times relative to Blindscore's, which is the first."""
    ours = records[0]
    if ours.system != "blindscore" or len(records) < 2:
        return []
    wall = [ratio(statistics.median(record.row_s()) / statistics.median(ours.row_s())) for record in records]
    processor = [ratio(record.processor_s() / ours.processor_s()) for record in records]
    return [line("time per row, relative to Blindscore", wall), line("processor time, relative to Blindscore", processor)]


def line(title: str, cells: list[str]) -> str:
    return f"| {title} | " + " | ".join(cells) + " |"


def of_task(task: TaskRecord, records: list[Record]) -> str:
    """Returns a task's section."""
    measured = [record for record in records if record.facts and record.agreement]
    parts = [f"### {task.title}", "", f"{task.rows:,} rows; the plain model is right on {task.right:.1%}".replace("%", " %") + "."]
    if measured:
        parts += ["", line("", [NAMES[record.system] for record in measured]).replace("|  |", "| |"), "|---" * (len(measured) + 1) + "|"]
        lines = [line(title, [cell(record) for record in measured]) for title, cell in LINES]
        parts += lines[:4] + beside(measured) + lines[4:]
    absent = [f"- {NAMES[record.system]}: {record.cannot}." for record in records if record.cannot]
    return "\n".join(parts + ([""] + absent if absent else []))


def markdown(results: Results) -> str:
    """Returns all tables."""
    rounds = max((len(record.rounds) for record in results.records), default=0)
    versions = {name: number for record in results.records if record.facts for name, number in record.facts.versions.items()}
    head = [
        f"{results.date}, commit {results.commit}: {results.processor}, {results.cores} cores, {results.system}.",
        f"{rounds} rounds in {results.seconds / 60:.0f} minutes; load average {results.load_start:.1f} at the start,",
        f"{results.load_end:.1f} at the end.",
    ]
    if versions:
        head.append(", ".join(f"{name} {number}" for name, number in versions.items()) + ".")
    return "\n\n".join(["\n".join(head), *(of_task(task, results.of(task.name)) for task in results.tasks)])


def insert(page: str, tables: str) -> str:
    """Returns a page with other tables."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"the page has no lines {START!r} and {END!r}")
    return f"{before}{START}\n\n{tables}\n\n{END}{after}"
