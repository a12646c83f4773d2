"""A system in a process of its own: ``python -m peers.worker SYSTEM TASK FOLDER``.

Each line of the standard input is a call, ``[name, argument]`` in JSON; each is answered by a line
with ``{"answer": ...}`` or ``{"unsupported": reason}``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from . import systems
from .tasks import Work


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Returns how many seconds a call takes, and what it returns."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def size(blobs: systems.Blobs) -> int:
    """Returns the number of bytes of blobs."""
    return sum(map(len, blobs))


class Calls:
    """What the run may ask for."""

    def __init__(self, system: str, task: str, work: Work) -> None:
        self._ready_s, self._system = timed(lambda: systems.start(system, task, work))
        self._row = 0
        self._row_s = 0.0

    def first(self, _: None) -> dict[str, Any]:
        """Scores a row that isn't timed, in which systems expand their keys, and one that tells how
        many fit into a round. Returns what doesn't depend on rounds.
        """
        (query,) = self._encrypted(1)[0].values()
        response = self._system.score(query)
        self._system.decrypt(response)
        self._row_s, _ = timed(lambda: self._system.score(query))
        return {
            "versions": {package: version(package) for package in self._system.packages},
            "scheme": self._system.scheme,
            "security": self._system.security,
            "ready_s": self._ready_s,
            "keys_s": self._system.keys.seconds,
            "key_bytes": self._system.keys.size,
            "query_bytes": size(query),
            "response_bytes": size(response),
        }

    def _encrypted(self, rows: int) -> tuple[dict[int, systems.Blobs], float]:
        """Returns the queries of the next rows that the client doesn't refuse, and the seconds that
        they took.
        """
        queries: dict[int, systems.Blobs] = {}
        seconds, total = 0.0, len(self._system.work.test)
        for _ in range(total):
            if len(queries) == rows:
                break
            row = self._row
            self._row = (row + 1) % total
            row_s, query = timed(lambda row=row: self._system.encrypt(row))
            if query is not None:
                queries[row] = query
                seconds += row_s
        return queries, seconds

    def round(self, seconds: float) -> dict[str, Any]:
        """Scores as many rows as fit into some seconds, one after the other, at least one."""
        queries, encrypt_s = self._encrypted(max(1, int(seconds / self._row_s)))
        before = self._system.processor()
        score_s, responses = timed(lambda: [self._system.score(query) for query in queries.values()])
        processor_s = self._system.processor() - before
        decrypt_s, found = timed(lambda: [self._system.decrypt(response).tolist() for response in responses])
        return {
            "rows": len(queries),
            "score_s": score_s,
            "processor_s": processor_s,
            "client_s": encrypt_s + decrypt_s,
            "found": dict(zip(queries, found, strict=True)),
        }

    def all_rows(self, _: None) -> dict[str, Any]:
        """Scores all rows: as a batch, or simulated."""
        rows, batch = self._system.work.test, self._system.batch_rows
        if not batch:
            return {"found": cells(self._system.simulate()), "batch": None}
        filled = np.resize(rows, (batch, rows.shape[1]))
        query = self._system.encrypt_batch(filled)
        before = self._system.processor()
        score_s, response = timed(lambda: self._system.score_batch(query))
        processor_s = self._system.processor() - before
        found = self._system.decrypt_batch(response)[: len(rows)]
        sizes = {"query_bytes": size(query), "response_bytes": size(response)}
        return {"found": cells(found), "batch": {"rows": batch, "score_s": score_s, "processor_s": processor_s, **sizes}}

    def close(self, _: None) -> None:
        """Ends what the system has started."""
        self._system.close()


def cells(array: np.ndarray) -> list[list[float] | None]:
    """Returns the rows of an array as JSON has them; ``None`` for rows without numbers."""
    return [None if np.isnan(row).any() else [float(cell) for cell in row] for row in np.asarray(array)]


def main() -> None:
    system, task, folder = sys.argv[1:]
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        calls = Calls(system, task, Work.load(Path(folder)))
    except systems.Unsupported as reason:
        answer({"unsupported": str(reason)})
        return
    answer({"answer": None})
    for line in sys.stdin:
        name, argument = json.loads(line)
        answer({"answer": getattr(calls, name)(argument)})


if __name__ == "__main__":
    main()
