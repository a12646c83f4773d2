"""Fits a linear layer with PyTorch, and exports it with torch.onnx.export.

The exporter's default is to write the weights to a file beside the model.

Usage: python fit_torch.py FOLDER (needs torch, onnx, onnxscript and scikit-learn)

Writes model.onnx, model.onnx.data, train.csv and expected.json to FOLDER/digits-torch, which is
kept in tests/fixtures/models.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main(folder):
    torch.manual_seed(0)
    digits = load_digits()
    X_train, X_test, y_train, _ = train_test_split(digits.data.astype(np.float32), digits.target, test_size=0.3, random_state=0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 10), torch.nn.Softmax(dim=1))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    rows, labels = torch.from_numpy(X_train), torch.from_numpy(y_train)
    for _ in range(200):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model[0](rows), labels).backward()
        optimiser.step()
    place = folder / "digits-torch"
    place.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(model.eval(), (rows[:1],), place / "model.onnx", dynamo=True)
    # Removes the paths of this machine's Python, which the exporter records.
    exported = onnx.load(place / "model.onnx", load_external_data=False)
    for part in [exported, exported.graph, *exported.graph.node, *exported.graph.input, *exported.graph.output]:
        part.ClearField("metadata_props")
    (place / "model.onnx").write_bytes(exported.SerializeToString())
    np.savetxt(place / "train.csv", X_train[::20], delimiter=",", fmt="%.7g")
    test = X_test[:60]
    with torch.no_grad():
        probabilities = model.double()(torch.from_numpy(test).double()).numpy()
    expected = {
        "rows": test.astype(float).tolist(),
        "predict": [str(label) for label in probabilities.argmax(axis=1)],
        "probabilities": probabilities.tolist(),
    }
    (place / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
