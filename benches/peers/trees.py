"""Scores the same encrypted rows with Blindscore and with Concrete ML: boosted trees of XGBoost.

    trees.py [--trees 20 100] [--depth 3] [--rows 5]

Both get scikit-learn's breast cancer table, split in the same way, and the same parameters of
XGBoost. Blindscore serves the model that XGBoost has fitted. Concrete ML fits its own: it rounds
the columns to six bits first, its default, and hands them to the same XGBoost.

Each system runs in a process of its own. The rows go to them by turns, one to the first, one to
the second, so that whatever else the machine does slows both down. Only one of them works at a
time, with all cores. A time is that of a call that takes a row in the clear and returns its
probabilities in the clear. Blindscore's goes through its server, over HTTP on the loopback
address, Concrete ML's stays in the process: `predict_proba(row, fhe="execute")`, with its defaults.
The first row is not timed: in it, Concrete ML expands its compressed evaluation keys, and its
sizes are measured with the client and the server that it has for deployment.

The time of the processor is that of all threads of both client and server. It hardly depends on
what else the machine does.

Needs what `trees.txt` lists, and Blindscore's wheel. If they don't fit into one environment, name
the interpreter of each: --blindscore PYTHON, --concrete PYTHON. Runs on Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

#: Bits of Concrete ML's columns and leaves: its default for XGBoost.
BITS = 6
#: Seconds between two rows, so that no thread of the other system still spins.
PAUSE = 0.5
#: Row that is not timed.
FIRST = 0


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Returns how many seconds a call takes, and what it returns."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def agreement(found: Any, expected: Any) -> dict[str, Any]:
    """Compares probabilities ``(rows, classes)``."""
    return {
        "rows": len(expected),
        "same": int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
        "difference": float(abs(found - expected).max()),
    }


class Work:
    """What both systems are given: the rows, and XGBoost's own answers."""

    def __init__(self, trees: int, depth: int) -> None:
        import xgboost
        from sklearn.datasets import load_breast_cancer
        from sklearn.model_selection import train_test_split

        X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        self.X_train, self.X_test, self.y_train, self.y_test = train_test_split(X, y, random_state=0)
        self.parameters = {"n_estimators": trees, "max_depth": depth}
        self.plain = xgboost.XGBClassifier(**self.parameters).fit(self.X_train, self.y_train)
        self.expected = self.plain.predict_proba(self.X_test)
        self.scratch = tempfile.TemporaryDirectory(prefix="peers-")

    def right(self, probabilities: Any) -> float:
        """Returns the share of test rows that are classified rightly."""
        return float((probabilities.argmax(axis=1) == self.y_test.to_numpy()).mean())


class Blindscore:
    """Blindscore's client, and its server in a process of its own."""

    packages = ("blindscore", "xgboost", "scikit-learn", "numpy")

    def __init__(self, trees: int, depth: int) -> None:
        import blindscore

        self.work = Work(trees, depth)
        models = Path(self.work.scratch.name)
        self.ready_s, self.report = timed(lambda: blindscore.save(self.work.plain, self.work.X_train, models / "tumours.safetensors"))
        self.server = blindscore.LocalServer(models)
        model = blindscore.Client(self.server.url, model="tumours").model

        def make_keys() -> Any:
            key = blindscore.SecretKey.generate(model)
            return key, *key.public_key()

        self.keys_s, (key, public, _) = timed(make_keys)
        self.key_bytes = len(public)
        self.client = blindscore.Client(self.server.url, model="tumours", key=key)
        self.client.ensure_key()

    def first(self) -> dict[str, Any]:
        """Sends the first row step by step. Returns what is known by then."""
        key = self.client.secret_key()
        self.client.upload(key)
        query = key.encrypt(self.work.X_test.iloc[FIRST])
        response = self.client.score(query)
        key.decrypt(response)
        self.score(FIRST)
        details = self.report.details
        return {
            "ready_s": self.ready_s,
            "keys_s": self.keys_s,
            "key": self.key_bytes,
            "query": len(query),
            "response": len(response),
            "bootstraps": details["rotations"],
            "wrong": details["wrong_leaf_chance"],
        }

    def score(self, row: int) -> Any:
        """Returns the probabilities of an encrypted row."""
        return self.client.predict_proba(self.work.X_test.iloc[[row]]).to_numpy()[0]

    def compare(self, executed: dict[int, list[float]]) -> dict[str, Any]:
        """Scores all test rows, encrypted, and compares them with XGBoost."""
        found = self.client.predict_proba(self.work.X_test).to_numpy()
        return {
            "plain": agreement(found, self.work.expected),
            "own": agreement(found, self.work.expected),
            "right": self.work.right(found),
            "plain_right": self.work.right(self.work.expected),
        }

    def close(self) -> None:
        """Ends the server and deletes its files."""
        self.server.close()
        self.work.scratch.cleanup()


class Concrete:
    """Concrete ML."""

    packages = ("concrete-ml", "concrete-python", "xgboost", "scikit-learn", "numpy")

    def __init__(self, trees: int, depth: int) -> None:
        from concrete.ml.sklearn import XGBClassifier

        self.work = Work(trees, depth)
        self.X_test = self.work.X_test.to_numpy()
        X_train, y_train = self.work.X_train.to_numpy(), self.work.y_train.to_numpy()
        self.model = XGBClassifier(n_bits=BITS, **self.work.parameters)
        self.model.fit(X_train, y_train)
        self.ready_s, self.circuit = timed(lambda: self.model.compile(X_train))
        self.keys_s, _ = timed(lambda: self.circuit.keygen(force=True))

    def first(self) -> dict[str, Any]:
        """Sends the first row through the API for deployment. Returns what is known by then."""
        from concrete.ml.deployment import FHEModelClient, FHEModelDev, FHEModelServer

        folder = Path(self.work.scratch.name) / "deployed"
        FHEModelDev(str(folder), self.model).save()
        client, server = FHEModelClient(str(folder)), FHEModelServer(str(folder))
        key = client.get_serialized_evaluation_keys()
        query = client.quantize_encrypt_serialize(self.X_test[[FIRST]])
        response = server.run(query, key)
        deployed = client.deserialize_decrypt_dequantize(response)[0]
        # This call expands the keys, too, and keeps them for the rows that are timed.
        if abs(deployed - self.score(FIRST)).max() > 0:
            print("Concrete ML: its two APIs answer differently", file=sys.stderr)
        return {
            "ready_s": self.ready_s,
            "keys_s": self.keys_s,
            "key": len(key),
            "query": len(query),
            "response": len(response),
            "bootstraps": self.circuit.programmable_bootstrap_count,
            "wrong": self.circuit.statistics["global_p_error"],
        }

    def score(self, row: int) -> Any:
        """Returns the probabilities of an encrypted row."""
        return self.model.predict_proba(self.X_test[[row]], fhe="execute")[0]

    def compare(self, executed: dict[int, list[float]]) -> dict[str, Any]:
        """Compares all test rows with XGBoost, simulated: encrypted, they would take hours. The
        rows that were timed are compared with the same model in the clear.
        """
        import numpy as np

        simulated = self.model.predict_proba(self.X_test, fhe="simulate")
        clear = self.model.predict_proba(self.X_test, fhe="disable")
        rows = sorted(executed)
        return {
            "plain": agreement(simulated, self.work.expected),
            "own": agreement(np.array([executed[row] for row in rows]), clear[rows]),
            "right": self.work.right(simulated),
            "plain_right": self.work.right(self.work.expected),
        }

    def close(self) -> None:
        """Deletes its files."""
        self.work.scratch.cleanup()


SYSTEMS = {"Blindscore": Blindscore, "Concrete ML": Concrete}


def work(name: str, trees: int, depth: int) -> None:
    """Does what the lines of the standard input ask for, in a process of its own."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    system = SYSTEMS[name](trees, depth)
    with contextlib.closing(system):
        answer({package: version(package) for package in system.packages})
        for line in sys.stdin:
            call, argument = json.loads(line)
            if call == "score":
                seconds, probabilities = timed(lambda row=argument: system.score(row))
                answer([seconds, [float(probability) for probability in probabilities]])
            elif call == "first":
                answer(system.first())
            else:
                answer(system.compare({int(row): shares for row, shares in argument.items()}))


class Worker:
    """A system in a process of its own."""

    def __init__(self, name: str, python: str, trees: int, depth: int) -> None:
        import psutil

        command = [python, __file__, "--work", name, "--trees", str(trees), "--depth", str(depth)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._family = psutil.Process(self.process.pid)
        self.name = name
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []
        self.executed: dict[int, list[float]] = {}
        self.versions = self._answer()
        self.facts = self._ask("first", None)

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} has ended")
        return json.loads(line)

    def _ask(self, call: str, argument: Any) -> Any:
        self.process.stdin.write(json.dumps([call, argument]) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _processor(self) -> float:
        """Returns the seconds of processor time that the process and its server have used."""
        times = [member.cpu_times() for member in (self._family, *self._family.children(recursive=True))]
        return sum(time.user + time.system for time in times)

    def score(self, row: int) -> None:
        """Scores a row and keeps how long it takes."""
        time.sleep(PAUSE)
        before = self._processor()
        seconds, self.executed[row] = self._ask("score", row)
        self.processor_seconds.append(self._processor() - before)
        self.seconds.append(seconds)

    def compare(self) -> None:
        """Compares the answers with XGBoost's."""
        self.agreement = self._ask("compare", self.executed)

    def close(self) -> None:
        """Ends the process, and with it the server."""
        self.process.stdin.close()
        self.process.wait()


def spread(seconds: list[float]) -> str:
    """Returns the median with the range."""
    low, middle, high = (f"{value:.3g}" for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{middle} ({low} to {high})"


def column(worker: Worker) -> dict[str, str]:
    """Returns a system's column of the table."""
    facts, agreed = worker.facts, worker.agreement
    plain, own = agreed["plain"], agreed["own"]
    way = "encrypted" if worker.name == "Blindscore" else "simulated"
    return {
        "one row, s: median (range)": spread(worker.seconds),
        "processor time of a row, s": spread(worker.processor_seconds),
        "rows timed": str(len(worker.seconds)),
        "bootstraps a row": f"{facts['bootstraps']:,}",
        "making keys, s": f"{facts['keys_s']:.2f}",
        "evaluation key, bytes": f"{facts['key']:,}",
        "query, bytes": f"{facts['query']:,}",
        "response, bytes": f"{facts['response']:,}",
        "chance of a wrong decision in a row, as stated": f"{facts['wrong']:.0e}",
        "decided as XGBoost": f"{plain['same']} of {plain['rows']}, {way}",
        "largest difference of a probability from XGBoost": f"{plain['difference']:.2g}",
        "right on the test rows (XGBoost)": f"{agreed['right']:.1%} ({agreed['plain_right']:.1%})",
        "largest difference from its own model in the clear": f"{own['difference']:.1g}, {own['rows']} rows",
    }


def processor() -> str:
    """Returns the name of the processor, as lscpu shows it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def run(pythons: dict[str, str], trees: int, depth: int, rows: int) -> None:
    """Runs both systems by turns, and prints their table."""
    print(f"\n{trees} trees of depth {depth}", flush=True)
    with contextlib.ExitStack() as stack:
        workers = []
        for name, python in pythons.items():
            workers.append(stack.enter_context(contextlib.closing(Worker(name, python, trees, depth))))
        for row in range(FIRST + 1, FIRST + 1 + rows):
            for worker in workers:
                worker.score(row)
                print(f"  row {row}, {worker.name}: {worker.seconds[-1]:.3f} s", flush=True)
        for worker in workers:
            worker.compare()
    columns = [column(worker) for worker in workers]
    print("\n| | " + " | ".join(pythons) + " |\n|---|" + "---|" * len(columns))
    for title in columns[0]:
        print(f"| {title} | " + " | ".join(found[title] for found in columns) + " |")
    for worker in workers:
        print(f"{worker.name}:", ", ".join(f"{package} {number}" for package, number in worker.versions.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", type=int, nargs="+", default=[20, 100], help="numbers of trees")
    parser.add_argument("--depth", type=int, default=3, help="depth of a tree")
    parser.add_argument("--rows", type=int, default=5, help="rows to time")
    parser.add_argument("--blindscore", default=sys.executable, help="Python with Blindscore's wheel")
    parser.add_argument("--concrete", default=sys.executable, help="Python with Concrete ML")
    parser.add_argument("--work", choices=list(SYSTEMS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.trees[0], options.depth)
        return
    load = ", ".join(f"{share:.1f}" for share in os.getloadavg())
    print(f"{datetime.date.today()}, {processor()}, {os.cpu_count()} cores, load at the start {load}")
    for trees in options.trees:
        run({"Blindscore": options.blindscore, "Concrete ML": options.concrete}, trees, options.depth, options.rows)
    print(f"\nload at the end {', '.join(f'{share:.1f}' for share in os.getloadavg())}")


if __name__ == "__main__":
    main()
