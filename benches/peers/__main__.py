"""``python -m peers``: measures, and writes results, table and plots. ``cargo xtask compare`` calls
it with the environments that it has made.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import plots, table
from .record import Results, TaskRecord
from .rounds import measure
from .systems import SYSTEMS
from .tasks import TASKS

#: Seconds of a round in which fast systems score one row after the other.
ROUND = 1.0
ROOT = Path(__file__).resolve().parents[2]
#: What the documentation shows.
PUBLISHED = ROOT / "docs" / "compare"


def processor() -> str:
    """Returns the name of the processor, with AVX-512 if it has it: all systems use it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wide = " with AVX-512" if "avx512f" in values.get("flags", "").split() else ""
    return values.get("model name", platform.machine()) + wide


def commit() -> str:
    """Returns the commit that is checked out, with a plus sign if files differ from it."""
    found = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def pairs(texts: list[str]) -> dict[str, str]:
    """Returns ``NAME=VALUE`` as a dictionary."""
    found = dict(text.split("=", 1) for text in texts)
    unknown = found.keys() - SYSTEMS.keys()
    if unknown:
        sys.exit(f"there is no system {', '.join(sorted(unknown))}; there are {', '.join(SYSTEMS)}")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="peers", description=__doc__)
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PYTHON", help="interpreter with a system")
    parser.add_argument("--missing", action="append", default=[], metavar="NAME=REASON", help="system that can't be installed")
    parser.add_argument("--task", action="append", choices=TASKS, help="task to measure; all if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mnist", type=Path, help="folder with MNIST's idx files")
    parser.add_argument("--logs", type=Path, help="folder for what the systems print")
    parser.add_argument("--publish", action="store_true", help="write docs/compare and docs/comparison.md")
    parser.add_argument("--redraw", action="store_true", help="only write table and plots again, from docs/compare/results.json")
    options = parser.parse_args()
    if not options.redraw and (options.mnist is None or options.logs is None):
        parser.error("--mnist and --logs are needed")
    return options


def main() -> None:
    options = arguments()
    if options.redraw:
        publish(Results.load(PUBLISHED / "results.json"))
        return
    pythons, missing = pairs(options.python), pairs(options.missing)
    options.logs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    results = Results(
        date=str(datetime.date.today()),
        commit=commit(),
        processor=processor(),
        cores=os.cpu_count() or 0,
        system=f"{platform.system()} {platform.machine()}",
        load_start=os.getloadavg()[0],
        load_end=0.0,
        seconds=0.0,
        round_s=ROUND,
        tasks=[],
        records=[],
    )
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        for name in options.task or TASKS:
            folder = Path(scratch) / name
            folder.mkdir()
            task = importlib.import_module(f".tasks.{name}", __package__).prepare(folder, options.mnist)
            task.work.save()
            right = float((task.expected.argmax(axis=1) == task.classes).mean())
            results.tasks.append(TaskRecord(name, task.title, len(task.classes), right))
            results.records += measure(task, pythons, missing, options.rounds, ROUND, options.logs)
            results.load_end, results.seconds = os.getloadavg()[0], time.monotonic() - started
            # After each task, so that a failure in the next one loses nothing.
            results.save(options.logs / "results.json")
    print(table.markdown(results))
    plots.write(results, options.logs)
    if options.publish:
        publish(results)


def publish(results: Results) -> None:
    """Writes what the documentation shows."""
    PUBLISHED.mkdir(exist_ok=True)
    results.save(PUBLISHED / "results.json")
    plots.write(results, PUBLISHED)
    page = ROOT / "docs" / "comparison.md"
    page.write_text(table.insert(page.read_text(), table.markdown(results)))


if __name__ == "__main__":
    main()
