"""Scores a million rows on a local Spark, and compares each answer with the pipeline's own.

Usage: python spark_million.py [ROWS]

Prints rows per second, and the memory of Spark's Python workers and of the server over time. Needs
pyspark, pandas, pyarrow, scikit-learn, skl2onnx, Java and Linux.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import blindscore
from blindscore.spark import predict_udf

COLUMNS = [f"x{place}" for place in range(8)]
#: Rows of a file, and so of a task.
FILE_ROWS = 50_000
#: Seconds between looks at the memory.
INTERVAL = 1.0


def main(rows: int) -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with tempfile.TemporaryDirectory() as scratch_:
        scratch = Path(scratch_)
        pipeline = write_rows(rows, scratch / "rows", scratch / "models")
        builder = SparkSession.builder.master("local[2]").appName("blindscore").config("spark.ui.enabled", "false")
        # A task for each file.
        builder = builder.config("spark.sql.files.openCostInBytes", "128m").config("spark.driver.host", "127.0.0.1")
        spark = builder.getOrCreate()
        with blindscore.LocalServer(scratch / "models") as server:
            udf = predict_udf(server.url, "million", key="memory", keep=["id"], output=["prediction", "scores"])
            table = spark.read.parquet(str(scratch / "rows"))
            memory = Memory(server._process.pid)
            start = time.perf_counter()
            table.mapInPandas(udf, udf.schema(table)).write.parquet(str(scratch / "answers"))
            seconds = time.perf_counter() - start
            memory.stop()
            print(f"{rows} rows in {seconds:.1f} s: {rows / seconds:.0f} rows/s", flush=True)
            memory.show()
        spark.stop()
        compare(rows, scratch, pipeline)


def write_rows(rows: int, folder: Path, models: Path) -> object:
    """Writes rows and a model for them, and returns the model's pipeline."""
    random = np.random.default_rng(0)
    folder.mkdir()
    X = pd.DataFrame(random.uniform(-3, 3, size=(5000, len(COLUMNS))), columns=COLUMNS)
    y = X.to_numpy() @ random.normal(size=len(COLUMNS)) + random.normal(size=len(X)) > 0
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    blindscore.save(pipeline, X, models / "million.safetensors", ranges=(-3, 3))
    for start in range(0, rows, FILE_ROWS):
        count = min(FILE_ROWS, rows - start)
        part = np.random.default_rng(1 + start).uniform(-2.5, 2.5, size=(count, len(COLUMNS)))
        columns = {"id": pa.array(np.arange(start, start + count))}
        columns |= {name: pa.array(part[:, place]) for place, name in enumerate(COLUMNS)}
        pq.write_table(pa.table(columns), folder / f"{start:09}.parquet")
    return pipeline


def compare(rows: int, scratch: Path, pipeline: object) -> None:
    """Compares all answers with the pipeline's own."""
    answers = pq.read_table(scratch / "answers").sort_by("id")
    assert answers["id"].to_numpy().tolist() == list(range(rows)), "rows are missing or twice there"
    error = answers["error"]
    print(f"{len(error) - error.null_count} rows refused")
    assert error.null_count == rows, error.drop_null()[0]
    X = pq.read_table(scratch / "rows", columns=COLUMNS).to_pandas()
    scores = pipeline.decision_function(X)
    largest = np.abs(answers["score_1"].to_numpy() - scores).max()
    differ = answers["prediction"].to_numpy() != pipeline.predict(X)
    print(f"{differ.sum()} decisions differ, of scores up to {np.abs(scores[differ]).max(initial=0):.2g}; largest error of a score {largest:.2g}")
    assert (np.abs(scores[differ]) <= largest).all()


class Memory:
    """Looks at the memory of Spark's Python workers and of the server."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._seen: list[tuple[float, float, float]] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        start = time.perf_counter()
        while not self._stopped.wait(INTERVAL):
            workers = [resident(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if is_worker(pid)]
            self._seen.append((time.perf_counter() - start, max(workers, default=0.0), resident(self._server)))

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def show(self) -> None:
        print("seconds  largest worker MiB  server MiB")
        for share in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
            seconds, worker, server = self._seen[min(len(self._seen) - 1, int(share * len(self._seen)))]
            print(f"{seconds:7.0f}  {worker:18.0f}  {server:10.0f}")
        print(f"peak     {max(worker for _, worker, _ in self._seen):18.0f}  {max(server for *_, server in self._seen):10.0f}")


def is_worker(pid: int) -> bool:
    """Returns whether a process is one of Spark's Python workers."""
    try:
        return b"pyspark" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 4)[2:3][0]
    except (OSError, IndexError):
        return False


def resident(pid: int) -> float:
    """Returns the resident memory of a process in MiB, 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
