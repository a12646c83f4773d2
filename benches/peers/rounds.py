"""The run: systems in processes of their own, taking turns in rounds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .record import Batch, Facts, Record, Round, agreement, decision
from .systems import SYSTEMS
from .tasks import Task

#: Seconds between two turns, so that no thread of another system still spins.
PAUSE = 0.5
#: Settings of a system's process. OpenFHE's threads otherwise spin while they wait for each other,
#: which on a busy machine takes many times as long.
VARIABLES = {"openfhe": {"OMP_WAIT_POLICY": "passive"}}
#: Variable that names the program `blindscore`: the only one of its variables that is passed on.
PROGRAM = "BLINDSCORE_PROGRAM"
#: Folder above this package.
ROOT = Path(__file__).resolve().parents[1]


class Failure(Exception):
    """A system's process has ended, or can't do the task. The message says why, for the table."""


class Worker:
    """A system in a process of its own."""

    def __init__(self, system: str, python: str, task: Task, logs: Path) -> None:
        self._log = logs / f"{task.name}-{system}.log"
        environment = {name: value for name, value in os.environ.items() if name == PROGRAM or not name.startswith("BLINDSCORE_")}
        environment |= {**VARIABLES.get(system, {}), "PYTHONPATH": str(ROOT)}
        command = [python, "-m", "peers.worker", system, task.name, str(task.work.folder)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)

    def answer(self) -> Any:
        """Reads an answer."""
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._process.wait()
            last = self._log.read_text().strip().splitlines()[-1:] or ["no message"]
            raise Failure(f"failed: {last[0]}")
        found = json.loads(line)
        if "unsupported" in found:
            raise Failure(found["unsupported"])
        return found["answer"]

    def ask(self, call: str, argument: Any = None) -> Any:
        """Calls a method of :class:`peers.worker.Calls`."""
        if self._process.stdin is None:
            raise Failure("failed: the process has no standard input")
        try:
            self._process.stdin.write(json.dumps([call, argument]) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended; the answer says why.
        return self.answer()

    def close(self) -> None:
        """Ends the process, and with it what it has started."""
        with contextlib.suppress(Failure):
            self.ask("close")
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Contender:
    """A system at a task: its process and its record."""

    def __init__(self, system: str, task: Task) -> None:
        self.name = system
        self.record = Record(task.name, system)
        self.found: dict[int, list[float]] = {}
        self._task = task
        self._worker: Worker | None = None

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Notes a failure in the record, and ends the process."""
        try:
            yield
        except Failure as failure:
            self.record = Record(self._task.name, self.name, str(failure))
            say(f"{self.name}: {failure}")
            self.close()

    def start(self, python: str, logs: Path) -> None:
        """Starts the process, and scores a row that isn't timed."""
        with self.failing():
            self._worker = Worker(self.name, python, self._task, logs)
            self._worker.answer()
            self.record.facts = Facts(**self._worker.ask("first"))
            say(f"{self.name} is ready: {self.record.facts.scheme}")

    def turn(self, seconds: float) -> None:
        """Scores some rows, one after the other."""
        if self._worker is None:
            return
        with self.failing():
            time.sleep(PAUSE)
            found = self._worker.ask("round", seconds)
            self.found |= {int(row): self._complete(answer) for row, answer in found.pop("found").items()}
            self.record.rounds.append(Round(**found))
            say(f"{self.name}: {self.record.row_s()[-1]:.4f} s a row, {self.record.rounds[-1].rows} rows")

    def compare(self) -> None:
        """Scores all rows, and compares them with the plain model."""
        if self._worker is None:
            return
        with self.failing():
            answer = self._worker.ask("all_rows")
            expected, classes = self._task.expected.tolist(), self._task.classes.tolist()
            found = [None if row is None else self._complete(row) for row in answer["found"]]
            batch = answer["batch"]
            self.record.batch = batch and Batch(**batch)
            self.record.agreement = agreement("encrypted" if batch else "simulated", found, expected, classes)
            self.record.tried = len(self.found)
            self.record.tried_same = sum(decision(answer) == decision(expected[row]) for row, answer in self.found.items())
            say(f"{self.name}: {self.record.agreement}")

    def _complete(self, answer: list[float]) -> list[float]:
        """Returns an answer that has a probability for each class."""
        classes = self._task.expected.shape[1]
        if len(answer) != classes:
            raise Failure(f"failed: {len(answer)} probabilities for {classes} classes")
        return answer

    def close(self) -> None:
        """Ends the process."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()


def say(what: str) -> None:
    """Tells how the run goes on."""
    print(f"  {what}", file=sys.stderr, flush=True)


def measure(task: Task, pythons: dict[str, str], missing: dict[str, str], rounds: int, seconds: float, logs: Path) -> list[Record]:
    """Measures a task with all chosen systems. ``missing`` says why some can't be run."""
    print(task.title, file=sys.stderr, flush=True)
    contenders = [Contender(name, task) for name in SYSTEMS if name in pythons]
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            stack.callback(contender.close)
            contender.start(pythons[contender.name], logs)
        for _ in range(rounds):
            for contender in contenders:
                contender.turn(seconds)
        for contender in contenders:
            contender.compare()
            contender.close()
    absent = [Record(task.name, name, f"not installed: {reason}") for name, reason in missing.items()]
    order = list(SYSTEMS)
    return sorted([contender.record for contender in contenders] + absent, key=lambda record: order.index(record.system))
