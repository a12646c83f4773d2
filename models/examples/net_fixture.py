"""Writes the fixture tests/fixtures/models/digits-net: a network and the results of the reference
arithmetic (models/net/evaluate.py) on its test rows.

    python net_fixture.py MODEL.safetensors TABLE.npz FOLDER

Writes FOLDER/model.safetensors and FOLDER/expected.json: rows within the ranges, their scores,
decisions, and true classes.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "net"))
import evaluate

ROWS = 100  # Maximum number of test rows.


def main():
    model, table, folder = map(Path, sys.argv[1:])
    tensors, metadata = evaluate.read(model)
    with np.load(table) as arrays:
        rows, classes = arrays["X_test"], arrays["y_test"]
    low, high = tensors["feature_min"], tensors["feature_max"]
    inside = np.flatnonzero(((rows >= low) & (rows <= high)).all(1))[:ROWS]
    rows, classes = rows[inside], classes[inside]
    levels = evaluate.levels_of(rows, low, high, int(metadata["input_levels"]))
    p = evaluate.projections(tensors, float(metadata["range"]), levels)
    scores = evaluate.scores(tensors, p) * float(metadata["logit_scale"])
    decisions = scores.argmax(1)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model, folder / "model.safetensors")
    expected = {
        "rows": rows.tolist(),
        "scores": scores.round(9).tolist(),
        "decisions": decisions.tolist(),
        "classes": classes.tolist(),
    }
    (folder / "expected.json").write_text(json.dumps(expected))
    print(f"{len(rows)} rows, {np.mean(decisions == classes):.4f} right")


if __name__ == "__main__":
    main()
