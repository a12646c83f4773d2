"""Compares encrypted scores with scikit-learn's, on every test row of real fitted models.

Usage: python agreement.py FOLDER_OF_PROGRAMS

The folder has blindscore-server and blindscore, as in target/release after
`cargo build --release -p blindscore-server -p blindscore-cli`. Fits each pipeline, exports it with
skl2onnx, imports it with its training rows, serves it, and has the client score the test rows.
"""

import csv
import json
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

warnings.filterwarnings("ignore")


def texts():
    """Returns TF-IDF of 5,000 words, distributed by Zipf's law, in 4,000 texts on 8 topics."""
    rng = np.random.default_rng(0)
    words = 1 / np.arange(1, 5001)
    topics = words * np.exp(rng.normal(0, 0.6, (8, 5000)))
    y = rng.integers(0, 8, 4000)
    counts = np.array([rng.multinomial(rng.integers(40, 200), topics[c] / topics[c].sum()) for c in y])
    return TfidfTransformer(sublinear_tf=True).fit_transform(counts).toarray(), y


def models():
    """Yields name, rows, targets and pipeline of each model."""
    for name, bundle, scaler in [
        ("iris", datasets.load_iris(), StandardScaler()),
        ("wine", datasets.load_wine(), MinMaxScaler()),
        ("breast-cancer", datasets.load_breast_cancer(), StandardScaler()),
        ("digits", datasets.load_digits(), MinMaxScaler()),
    ]:
        yield name, bundle.data, bundle.target, make_pipeline(scaler, LogisticRegression(max_iter=1000))
    iris = datasets.load_iris()
    yield "iris-svc", iris.data, iris.target, make_pipeline(StandardScaler(), LinearSVC())
    cancer = datasets.load_breast_cancer()
    yield "breast-cancer-ridge", cancer.data, cancer.target, make_pipeline(StandardScaler(), RidgeClassifier())
    yield "breast-cancer-svc", cancer.data, cancer.target, make_pipeline(StandardScaler(), LinearSVC())
    diabetes = datasets.load_diabetes()
    yield "diabetes", diabetes.data, diabetes.target, make_pipeline(StandardScaler(), Ridge())
    yield "tfidf-5000", *texts(), make_pipeline(LogisticRegression(C=10, max_iter=500))
    X, y = datasets.make_classification(3000, 5000, n_informative=200, n_classes=4, random_state=0)
    yield "classification-5000", X, y, make_pipeline(LogisticRegression(C=1e-3, max_iter=500))


class Server:
    """A blindscore-server on a free port."""

    def __init__(self, programs, folder):
        self.process = subprocess.Popen(
            [programs / "blindscore-server", "serve", "--bind", "127.0.0.1:0", "--data-dir", folder / "data", "--models-dir", folder / "models"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = re.search(r"http://\S+", self.process.stdout.readline())[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def run(*command):
    started = time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout, time.monotonic() - started


def write_csv(path, rows):
    np.savetxt(path, rows, delimiter=",", fmt="%.9g")


def compare(programs, folder, name, X, y, model):
    """Fits and compares one model, and prints its line of the table."""
    X = X.astype(np.float32)
    X_train, X_test, y_train, _ = train_test_split(X, y, test_size=0.3, random_state=0)
    model.fit(X_train, y_train)
    is_svc = isinstance(model[-1], LinearSVC)
    onnx = to_onnx(model, X[:1], options={id(model[-1]): {"raw_scores": True}} if is_svc else None)
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    write_csv(folder / "train.csv", X_train)
    imported, import_seconds = run(
        programs / "blindscore",
        "import",
        folder / "model.onnx",
        "--name",
        name,
        "--calibrate",
        folder / "train.csv",
        "--models-dir",
        folder / "models",
        "--json",
    )
    report = json.loads(imported)
    error = report["stated_error"]
    # The client refuses rows outside the ranges, so they are counted and left out here.
    limits = json.loads(run(programs / "blindscore", "inspect", name, "--models-dir", folder / "models", "--json")[0])["descriptor"]["inputs"]
    allowed = np.array([accepts(limits, row) for row in X_test.astype(float)])
    rows = X_test[allowed]
    write_csv(folder / "rows.csv", rows)
    with Server(programs, folder) as server:
        client = ["--url", server.url, "--model", name, "--key", folder / f"{name}.key"]
        run(programs / "blindscore", "keygen", *client)
        run(programs / "blindscore", "upload-keys", *client)
        _, seconds = run(programs / "blindscore", "predict", *client, "--csv", folder / "rows.csv", "--out", folder / "out.csv", "--no-header")
    with open(folder / "out.csv", newline="") as file:
        answers = list(csv.DictReader(file))
    line = {
        "model": name,
        "size": f"{X.shape[1]} x {report['outputs']}",
        "set": report["parameter_set"],
        "rows": len(X_test),
        "refused": int((~allowed).sum()),
        "error": f"{error:.1e}",
        "query, response": f"{report['sizes']['query']}, {report['sizes']['response']}",
        "import s": f"{import_seconds:.1f}",
        "rows/s": f"{len(rows) / seconds:.0f}",
    }
    if "label" not in answers[0]:
        ours = np.array([float(next(v for k, v in answer.items() if k.startswith("predicted_"))) for answer in answers])
        worst = np.abs(ours - model.predict(rows)).max()
        assert worst <= error, (name, worst, error)
        line |= {"same": "", "close": "", "largest": f"{worst:.1e} of a value"}
    else:
        plain = np.atleast_2d(model.decision_function(rows).T).T
        close = np.abs(plain[:, 0]) < error if plain.shape[1] == 1 else np.diff(np.sort(plain, axis=1)[:, -2:])[:, 0] < 2 * error
        same = np.array([answer["label"] for answer in answers]) == model.predict(rows).astype(str)
        assert (same | close).all(), (name, np.flatnonzero(~same & ~close))
        line |= {"same": int(same.sum()), "close": int(close.sum()), "largest": ""}
        if hasattr(model, "predict_proba"):
            ours = np.array([[float(v) for k, v in answer.items() if k.startswith("proba_")] for answer in answers])
            line["largest"] = f"{np.abs(ours - model.predict_proba(rows)).max():.1e} of a probability"
    print("| " + " | ".join(str(line[column]) for column in COLUMNS) + " |", flush=True)


COLUMNS = ["model", "size", "set", "rows", "refused", "same", "close", "largest", "error", "query, response", "import s", "rows/s"]


def accepts(inputs, row):
    """Returns whether clients accept a row (docs/http.md, "Features")."""
    features = inputs.get("features") or [inputs] * inputs["count"]
    low, high = (np.array([feature[end] for feature in features]) for end in ("min", "max"))
    norm = inputs.get("norm")
    distance = np.linalg.norm((row - low) / (high - low) - norm["centre"]) if norm else 0
    return bool(((low <= row) & (row <= high)).all() and (not norm or distance <= norm["max"]))


def main(programs):
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, X, y, model in models():
            compare(programs, Path(folder), name, X, y, model)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
