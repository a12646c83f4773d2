"""Models of which only the label leaves the server."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

import blindscore
from blindscore.sklearn import BlindscoreClassifier
from blindscore.spark import predict_udf

X, PLACES = load_iris(return_X_y=True, as_frame=True)
CLASSES = np.array(["setosa", "versicolor", "virginica"])[PLACES]
MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, CLASSES)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[blindscore.LocalServer]:
    """A server with "flowers", whose label it sends and nothing else."""
    folder = tmp_path_factory.mktemp("labels")
    report = blindscore.save(MODEL, X, folder / "flowers.safetensors", answer="label", check_rows=10)
    assert report.details["answer"] == "label"
    with blindscore.LocalServer(folder) as server:
        yield server


def test_labels_are_the_models_and_nothing_else_comes(server: blindscore.LocalServer) -> None:
    rows = X[::4]
    shares = np.sort(MODEL.predict_proba(rows), axis=1)
    clear = shares[:, -1] - shares[:, -2] > 0.05
    client = blindscore.Client(server.url, model="flowers")
    assert client.model.answer == "label"
    labels = client.predict(rows)
    assert isinstance(labels, pd.Series)
    assert (labels[clear] == MODEL.predict(rows)[clear]).all()
    assert clear.sum() > 30
    for method in (client.scores, client.decision_function, client.predict_proba):
        with pytest.raises(AttributeError, match=r"only the label|no probabilities"):
            method(rows)
    estimator = BlindscoreClassifier(server.url, "flowers").fit(rows, MODEL.predict(rows))
    assert not hasattr(estimator, "decision_function")
    assert not hasattr(estimator, "predict_proba")
    assert (np.asarray(estimator.predict(rows))[clear] == MODEL.predict(rows)[clear]).all()
    with pytest.raises(blindscore.SettingError, match="only the label"):
        predict_udf(server.url, "flowers", output="scores")


@pytest.mark.parametrize(
    ("depth", "options"),
    [(3, {}), (3, {"structure": "public"}), (1, {"grid": "quantiles:5"})],
    ids=["private", "public", "additive"],
)
def test_trees_may_send_only_the_label(tmp_path: Path, depth: int, options: dict[str, str]) -> None:
    rows, classes = load_breast_cancer(return_X_y=True, as_frame=True)
    model = XGBClassifier(n_estimators=20, max_depth=depth).fit(rows, classes)
    report = blindscore.save(model, rows, tmp_path / "tumours.safetensors", answer="label", check_rows=20, **options)
    assert report.details["answer"] == "label"
    assert report.details["rotations"] < 100
    asked = rows[::15]
    clear = np.abs(model.predict(asked, output_margin=True)) > report.details["close"]
    with blindscore.LocalServer(tmp_path) as server:
        labels = blindscore.Client(server.url, model="tumours").predict(asked)
    assert clear.sum() > 25
    assert (np.asarray(labels)[clear] == model.predict(asked)[clear]).all()


def test_values_have_no_label(tmp_path: Path) -> None:
    values = LinearRegression().fit(X, X.iloc[:, 0])
    with pytest.raises(blindscore.ImportRefused, match="its scores are values"):
        blindscore.save(values, X, tmp_path / "values.safetensors", answer="label")
    with pytest.raises(blindscore.SettingError, match="answer: it is neither scores nor label"):
        blindscore.save(MODEL, X, tmp_path / "flowers.safetensors", answer="bits")


def test_a_row_without_a_winner_has_no_label(server: blindscore.LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = blindscore.Client(server.url, model="flowers")
    score = client._score

    def circular(*arguments: object) -> object:
        answers = score(*arguments)  # type: ignore[arg-type]
        answers.classes[1] = -1
        return answers

    monkeypatch.setattr(client, "_score", circular)
    labels = client.predict(X[:3].to_numpy())
    assert labels[1] is None
    assert labels[0] == "setosa"
