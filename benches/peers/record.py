"""What a run has found, as ``docs/compare/results.json`` keeps it."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

#: Version of the file's format.
FORMAT = 1


@dataclasses.dataclass
class Round:
    """Rows that were scored one after the other; times are of all of them."""

    rows: int
    score_s: float
    processor_s: float
    client_s: float


@dataclasses.dataclass
class Batch:
    """Rows that were scored at once."""

    rows: int
    score_s: float
    processor_s: float
    query_bytes: int
    response_bytes: int


@dataclasses.dataclass
class Agreement:
    """All rows, compared with the plain model.

    Attributes:
        how: "encrypted" or "simulated".
        rows: Rows that were compared.
        refused: Rows that the client refuses, which are not among them.
        same: Rows with the plain model's decision.
        right: Rows with the right class.
        difference: Largest difference of a probability.
    """

    how: str
    rows: int
    refused: int
    same: int
    right: int
    difference: float


@dataclasses.dataclass
class Facts:
    """What doesn't depend on rounds."""

    versions: dict[str, str]
    scheme: str
    security: str
    ready_s: float
    keys_s: float
    key_bytes: int
    query_bytes: int
    response_bytes: int


@dataclasses.dataclass
class Record:
    """A system at a task. ``cannot`` says why there are no facts."""

    task: str
    system: str
    cannot: str | None = None
    facts: Facts | None = None
    rounds: list[Round] = dataclasses.field(default_factory=list)
    #: Different rows that were scored one by one, and how many were decided as by the plain model.
    tried: int = 0
    tried_same: int = 0
    agreement: Agreement | None = None
    batch: Batch | None = None

    def row_s(self) -> list[float]:
        """Returns each round's seconds for a row."""
        return [found.score_s / found.rows for found in self.rounds]

    def processor_s(self) -> float:
        """Returns the median of the rounds' seconds of processor time for a row."""
        return statistics.median(found.processor_s / found.rows for found in self.rounds)

    def client_s(self) -> float:
        """Returns the median of the rounds' seconds for encrypting and decrypting a row."""
        return statistics.median(found.client_s / found.rows for found in self.rounds)


@dataclasses.dataclass
class TaskRecord:
    """A task: its title, its rows, and the share that the plain model decides rightly."""

    name: str
    title: str
    rows: int
    right: float


@dataclasses.dataclass
class Results:
    """A whole run."""

    date: str
    commit: str
    processor: str
    cores: int
    system: str
    load_start: float
    load_end: float
    seconds: float
    round_s: float
    tasks: list[TaskRecord]
    records: list[Record]
    format: int = FORMAT

    def of(self, task: str) -> list[Record]:
        """Returns the records of a task."""
        return [record for record in self.records if record.task == task]

    def save(self, path: Path) -> None:
        """Writes the file."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Reads what :meth:`save` wrote."""
        fields = json.loads(path.read_text())
        if fields["format"] != FORMAT:
            raise ValueError(f"{path} has format {fields['format']}, not {FORMAT}: run the comparison again")
        fields["tasks"] = [TaskRecord(**task) for task in fields["tasks"]]
        fields["records"] = [record(found) for found in fields["records"]]
        return cls(**fields)


def record(fields: dict[str, Any]) -> Record:
    """Returns a record from its fields."""
    kinds = {"facts": Facts, "agreement": Agreement, "batch": Batch}
    parts = {name: kind(**fields[name]) if fields[name] else None for name, kind in kinds.items()}
    return Record(**{**fields, **parts, "rounds": [Round(**found) for found in fields["rounds"]]})


def agreement(how: str, found: list[list[float] | None], expected: list[list[float]], classes: list[int]) -> Agreement:
    """Compares probabilities with the plain model's; ``None`` is a row that the client refused."""
    rows = [(row, wanted, right) for row, wanted, right in zip(found, expected, classes, strict=True) if row is not None]
    same = sum(decision(row) == decision(wanted) for row, wanted, _ in rows)
    right = sum(decision(row) == right for row, _, right in rows)
    difference = max((abs(a - b) for row, wanted, _ in rows for a, b in zip(row, wanted, strict=True)), default=0.0)
    return Agreement(how, len(rows), len(found) - len(rows), same, right, difference)


def decision(probabilities: list[float]) -> int:
    """Returns the class with the largest probability."""
    return max(range(len(probabilities)), key=probabilities.__getitem__)
