"""Blindscore: its client, and its server on a loopback address, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

import blindscore

from ..rounds import PROGRAM
from ..tasks import Work, softmax
from . import Blobs, Keys, System

#: Requests at the same time where a client has many rows: the client's own default.
IN_FLIGHT = 4
#: Range of a pixel: some are white in all training images that the import sees.
PIXELS = ["--input-min", "0", "--input-max", "1"]
#: Rows that the import scores to check the trees: few, since the run scores all.
CHECKED = 5


def save(task: str, work: Work, models: Path) -> str:
    """Makes the model file of a task, unless it is a bundled model. Returns the model's name."""
    if task == "linear":
        return str(work.settings["model"])
    if task == "trees":
        import xgboost

        model = xgboost.XGBClassifier()
        model.load_model(work.folder / "model.json")
        return blindscore.save(model, work.train, models / "trees.safetensors", check_rows=CHECKED).name
    rows = work.folder / "train.csv"
    np.savetxt(rows, work.train, delimiter=",", fmt="%.6g")
    program = os.environ[PROGRAM]
    names = ",".join(str(digit) for digit in range(10))
    options = ["--header", "no", "--task", "classification", "--labels", names, "--models-dir", str(models)]
    command = [program, "import", str(work.folder / "model.onnx"), "--name", "network", "--calibrate", str(rows), *PIXELS, *options]
    imported = subprocess.run(command, capture_output=True, text=True)
    if imported.returncode:
        raise RuntimeError(imported.stderr.strip())
    return "network"


class Blindscore(System):
    """Serves the plain model itself. A score goes over HTTP."""

    packages = ("blindscore",)
    security = "132 bits"

    def __init__(self, task: str, work: Work) -> None:
        super().__init__(task, work)
        self._models = tempfile.TemporaryDirectory(prefix="peers-")
        models = Path(self._models.name)
        name = save(task, work, models)
        self._server = blindscore.LocalServer(models)
        model = blindscore.Client(self._server.url, model=name, key="memory").model
        started = time.perf_counter()
        self._key = blindscore.SecretKey.generate(model)
        public, _ = self._key.public_key()
        self.keys = Keys(time.perf_counter() - started, len(public))
        self._client = blindscore.Client(self._server.url, model=name, key=self._key)
        self._client.upload(self._key)
        self.scheme = f"LWE, `{model.parameter_set}`"
        self.batch_rows = len(work.test)
        self._children = psutil.Process().children(recursive=True)

    def _encrypt(self, row: np.ndarray) -> bytes:
        try:
            return self._key.encrypt(row.tolist())
        except blindscore.RowError:
            return b""

    def encrypt(self, row: int) -> Blobs | None:
        query = self._encrypt(self.work.test[row])
        return [query] if query else None

    def score(self, query: Blobs) -> Blobs:
        return [self._client.score(query[0])]

    def decrypt(self, response: Blobs) -> np.ndarray:
        return np.array(self._probabilities(response[0]))

    def _probabilities(self, blob: bytes) -> list[float]:
        answer = self._key.decrypt(blob)
        # The network's file has no softmax.
        return answer.probabilities or softmax(np.array([answer.scores]))[0].tolist()

    def encrypt_batch(self, rows: np.ndarray) -> Blobs:
        return [self._encrypt(row) for row in rows]

    def score_batch(self, query: Blobs) -> Blobs:
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            return list(pool.map(lambda blob: self._client.score(blob) if blob else b"", query))

    def decrypt_batch(self, response: Blobs) -> np.ndarray:
        answers = [self._probabilities(blob) if blob else None for blob in response]
        classes = max(len(answer) for answer in answers if answer is not None)
        return np.array([[np.nan] * classes if answer is None else answer for answer in answers])

    def processor(self) -> float:
        server = [child.cpu_times() for child in self._children]
        return time.process_time() + sum(times.user + times.system for times in server)

    def close(self) -> None:
        self._server.close()
        self._models.cleanup()
