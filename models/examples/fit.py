"""Fits models to scikit-learn's small data sets, and exports each as ONNX with its predictions.

Usage: python fit.py FOLDER

Each model gets a folder with model.onnx, train.csv (rows for calibration) and expected.json (test
rows, scikit-learn's predictions for them, and probabilities or values). The results are kept in
tests/fixtures/models.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

ROWS = 60  # Maximum number of test rows.
warnings.filterwarnings("ignore", category=FutureWarning)


def split(data, labels=None, single=True):
    X = data.data.astype(np.float32) if single else data.data
    y = data.target if labels is None else labels
    return train_test_split(X, y, test_size=0.3, random_state=0)


def write(folder, name, model, onnx, X_train, X_test, y_test):
    """Writes one model's files, with probabilities if the model has them."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.onnx").write_bytes(onnx)
    header = ",".join(getattr(X_train, "columns", []))
    np.savetxt(place / "train.csv", X_train, delimiter=",", fmt="%.7g", header=header, comments="")
    rows = X_test[:ROWS]
    predicted = [v.tolist() if isinstance(v, np.ndarray) else str(v) for v in model.predict(rows)]
    expected = {"rows": np.asarray(rows, dtype=float).tolist(), "predict": predicted}
    if hasattr(model, "predict_proba"):
        expected["probabilities"] = model.predict_proba(rows).tolist()
    else:
        expected["values"] = np.asarray(model.predict(rows), dtype=float).reshape(len(rows), -1).tolist()
    (place / "expected.json").write_text(json.dumps(expected))
    print(f"{name}: score {model.score(X_test, y_test):.4f} on {len(X_test)} rows")


class Torch:
    """An nn.Linear with a softmax, as torch.onnx.export writes it: Gemm with transB."""

    def __init__(self, fitted):
        scaler, self.classifier = fitted[0], fitted[1]
        self.weight = self.classifier.coef_ / scaler.scale_
        self.bias = self.classifier.intercept_ - self.weight @ scaler.mean_
        self.fitted = fitted
        self.predict, self.predict_proba, self.score = fitted.predict, fitted.predict_proba, fitted.score

    def onnx(self):
        tensors = [
            numpy_helper.from_array(self.weight.astype(np.float32), "fc.weight"),
            numpy_helper.from_array(self.bias.astype(np.float32), "fc.bias"),
        ]
        outputs, features = self.weight.shape
        nodes = [
            helper.make_node("Gemm", ["input", "fc.weight", "fc.bias"], ["/fc/Gemm_output_0"], "/fc/Gemm", transB=1),
            helper.make_node("Softmax", ["/fc/Gemm_output_0"], ["output"], "/Softmax", axis=1),
        ]
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "main_graph",
            [value("input", TensorProto.FLOAT, ["batch", features])],
            [value("output", TensorProto.FLOAT, ["batch", outputs])],
            tensors,
        )
        return helper.make_model(graph).SerializeToString()


def main(folder):
    iris, wine, cancer = datasets.load_iris(), datasets.load_wine(), datasets.load_breast_cancer()
    digits, diabetes = datasets.load_digits(), datasets.load_diabetes()
    classifiers = {
        "iris": (iris, None, make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))),
        "iris-rest": (iris, None, make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression()))),
        "wine": (wine, None, make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000))),
        "breast-cancer": (cancer, cancer.target_names[cancer.target], make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))),
        "digits": (digits, None, make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000))),
    }
    for name, (data, labels, pipeline) in classifiers.items():
        X_train, X_test, y_train, y_test = split(data, labels)
        pipeline.fit(X_train, y_train)
        write(folder, name, pipeline, to_onnx(pipeline, X_train[:1]).SerializeToString(), X_train, X_test, y_test)
    X_train, X_test, y_train, y_test = split(iris)
    torch = Torch(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X_train, y_train))
    write(folder, "iris-torch", torch, torch.onnx(), X_train, X_test, y_test)
    # A data frame: skl2onnx makes one input per column, with a name without spaces.
    frame = datasets.load_breast_cancer(as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(
        frame.data.astype(np.float32), cancer.target_names[cancer.target], test_size=0.3, random_state=0
    )
    scaled, as_they_are = list(frame.data.columns[5:]), list(frame.data.columns[:5])
    columns = make_column_transformer((StandardScaler(), scaled), ("passthrough", as_they_are))
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=10000)).fit(X_train, y_train)
    write(folder, "breast-cancer-frame", pipeline, to_onnx(pipeline, X_train[:1]).SerializeToString(), X_train, X_test, y_test)
    # In double precision, skl2onnx writes Sub, Div, MatMul and Add instead of its own operators.
    two = np.c_[diabetes.target, -diabetes.target + diabetes.data[:, 2] * 100]
    regressions = {
        "diabetes": (diabetes.target, make_pipeline(StandardScaler(), Ridge()), True),
        "diabetes-double": (diabetes.target, make_pipeline(StandardScaler(), LinearRegression()), False),
        "diabetes-two": (two, make_pipeline(MinMaxScaler(), LinearRegression()), True),
    }
    for name, (target, pipeline, single) in regressions.items():
        X_train, X_test, y_train, y_test = split(diabetes, target, single)
        pipeline.fit(X_train, y_train)
        write(folder, name, pipeline, to_onnx(pipeline, X_train[:1]).SerializeToString(), X_train, X_test, y_test)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
