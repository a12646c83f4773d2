"""Model files from live objects, and what a client then answers."""

from __future__ import annotations

import blindscore
import numpy as np
import pandas as pd
import pytest
from sklearn import naive_bayes
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, Normalizer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, LinearSVC

ROWS = 300
RANDOM = np.random.default_rng(5)
AGE = RANDOM.integers(18, 90, ROWS)
DEBT = np.round(RANDOM.beta(2, 5, ROWS), 4)
SIGNAL = (AGE - 54) / 20 + 4 * DEBT - 1 + RANDOM.normal(0, 0.5, ROWS)
NUMBERS = pd.DataFrame({"age": AGE.astype(float), "debt ratio": DEBT, "visits": RANDOM.poisson(3, ROWS).astype(float)})
MIXED = pd.DataFrame(
    {
        "age": AGE,
        "debt": np.where(RANDOM.random(ROWS) < 0.1, np.nan, DEBT),
        "job": RANDOM.choice(["clerk", "nurse", "Bäcker"], ROWS),
        "member": RANDOM.random(ROWS) < 0.5,
    }
)
WORDS = np.array(["good", "bad", "great", "awful", "quick", "slow", "never", "again"])
TEXTS = [" ".join(row) for row in WORDS[RANDOM.integers(0, len(WORDS), (ROWS, 6))]]
TWO = (SIGNAL > 0).astype(int)
THREE = np.array(["low", "mid", "high"])[np.digitize(SIGNAL, [-1, 1])]

mixed = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "debt"]), (OneHotEncoder(handle_unknown="ignore"), ["job"])
)
CASES = {
    "frame": (make_pipeline(StandardScaler(), LogisticRegression()), NUMBERS, TWO),
    "float32": (make_pipeline(StandardScaler(), LogisticRegression()), NUMBERS.to_numpy(np.float32), THREE),
    "integers": (Ridge(), MIXED[["age"]].assign(visits=NUMBERS["visits"].astype(int)), SIGNAL),
    "mixed": (make_pipeline(mixed, LogisticRegression()), MIXED, TWO),
    "gaps": (make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()), MIXED[["age", "debt"]].to_numpy(), TWO),
    "bins": (make_pipeline(KBinsDiscretizer(4), LogisticRegression()), NUMBERS[["age"]], TWO),
    "texts": (make_pipeline(TfidfVectorizer(), LogisticRegression()), TEXTS, [text.count("good") for text in TEXTS]),
    "several labels": (OneVsRestClassifier(LogisticRegression()), NUMBERS.to_numpy(), np.c_[TWO, SIGNAL > 1, AGE > 50].astype(int)),
    "two targets": (LinearRegression(), NUMBERS.to_numpy(), np.c_[SIGNAL, DEBT]),
    "log link": (make_pipeline(StandardScaler(), PoissonRegressor()), NUMBERS.to_numpy(), np.exp(SIGNAL / 2)),
    "polynomial": (make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()), NUMBERS.to_numpy(), SIGNAL),
    "normaliser": (make_pipeline(Normalizer(), LogisticRegression()), NUMBERS.to_numpy(np.float32), TWO),
    "PCA": (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()), NUMBERS.to_numpy(), TWO),
    "naive Bayes": (naive_bayes.GaussianNB(), NUMBERS.to_numpy(), THREE),
    "SGD": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), NUMBERS, TWO),
    "LinearSVC": (make_pipeline(StandardScaler(), LinearSVC()), NUMBERS, TWO),
    "SVC": (make_pipeline(StandardScaler(), SVC(kernel="linear")), NUMBERS.to_numpy(np.float32), TWO),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every case, saved, and a server with all of them."""
    folder = tmp_path_factory.mktemp("saved")
    reports = {}
    for place, (name, (pipeline, X, y)) in enumerate(CASES.items()):
        pipeline.fit(X, y)
        reports[name] = blindscore.save(pipeline, X, folder / f"case-{place}.safetensors")
    with blindscore.LocalServer(folder) as server:
        yield server, reports


@pytest.mark.parametrize("name", CASES)
def test_what_is_saved_answers_as_what_was_fitted(saved, name):
    server, reports = saved
    pipeline, X, _ = CASES[name]
    report = reports[name]
    assert report.details["expected_rows"] == ROWS
    client = blindscore.Client(server.url, model=report.name, key="memory")
    found, wanted = np.asarray(client.predict(X)), np.asarray(pipeline.predict(X))
    if client.model.task == "regression":
        error = 7 * client.model.score_error
        if name == "log link":
            found, wanted = np.log(found), np.log(wanted)
        assert np.abs(found - wanted).max() < error
        return
    if client.model.task == "multilabel":
        close = np.abs(np.asarray(client.scores(X))) < 7 * client.model.score_error
        assert ((found == wanted) | close).all()
    else:
        assert found.dtype.kind == wanted.dtype.kind
        assert (found == wanted).mean() > 0.99
    if client.model.n_probabilities and hasattr(pipeline, "predict_proba"):
        assert client.model.task == "multilabel" or client.classes_.tolist() == pipeline.classes_.tolist()
        assert np.abs(np.asarray(client.predict_proba(X)) - pipeline.predict_proba(X)).max() < 1e-3


def test_unknown_categories_and_gaps_are_as_in_the_pipeline(saved):
    server, reports = saved
    pipeline, X, _ = CASES["mixed"]
    client = blindscore.Client(server.url, model=reports["mixed"].name, key="memory")
    rows = X.head(4).copy()
    rows["job"] = ["pilot", "clerk", "nurse", "Bäcker"]
    rows["debt"] = [np.nan, 0.2, np.nan, 0.1]
    assert np.abs(np.asarray(client.predict_proba(rows)) - pipeline.predict_proba(rows)).max() < 1e-3
    records = [{"job": "pilot", "debt": None, "age": 30}]
    wanted = pipeline.predict_proba(pd.DataFrame({"age": [30], "debt": [np.nan], "job": ["pilot"], "member": [True]}))
    assert np.abs(client.predict_proba(records) - wanted).max() < 1e-3


def test_a_report_is_a_table(saved):
    report = saved[1]["frame"]
    assert report.path.exists()
    assert "parameters  linear-n2048" in repr(report)
    assert repr(report).splitlines()[0] in report._repr_html_()
    assert report.details["compared_rows"] > 0


def test_versions_count(tmp_path):
    pipeline, X, y = CASES["frame"]
    pipeline.fit(X, y)
    first = blindscore.save(pipeline, X, tmp_path / "new" / "churn.safetensors")
    pipeline.fit(X, 1 - y)
    second = blindscore.save(pipeline, X, tmp_path / "new" / "churn")
    assert [first.path.name, second.path.name] == ["churn@1.safetensors", "churn@2.safetensors"]


class Liar(LogisticRegression):
    """Predicts otherwise than its coefficients say."""

    def predict(self, X):
        return 1 - super().predict(X)


def test_what_isnt_served_is_refused_with_words_and_nothing_is_written(tmp_path):
    X, y = NUMBERS.to_numpy(), TWO

    def refused(error, words, model, rows=X, path="m.safetensors", **options):
        with pytest.raises(error, match=words):
            blindscore.save(model, rows, tmp_path / path, **options)

    refused(blindscore.ImportRefused, "nearest neighbours", KNeighborsClassifier(5).fit(X, y))
    # A converter that takes the class for its parent must not go unnoticed.
    liar = Liar().fit(X, y)
    liar.__class__ = type("LogisticRegression", (Liar,), {})
    refused(blindscore.ImportRefused, ".", liar)
    refused(blindscore.SettingError, "not a kind of model", object())
    refused(blindscore.ImportRefused, "can't convert", BaseEstimatorThatPredicts())
    model = LogisticRegression().fit(X, y)
    refused(blindscore.SettingError, "not a model's name", model, path="My Model.safetensors")
    refused(blindscore.SettingError, "leave out the version", model, path="m@3.safetensors")
    refused(blindscore.SettingError, "is a folder", model, path=".")
    refused(blindscore.SettingError, "two dimensions", model, rows=X[0])
    refused(blindscore.SettingError, "no rows", model, rows=X[:0])
    refused(blindscore.SettingError, "no task", model, task="ranking")
    refused(blindscore.SettingError, "check_rows", model, check_rows=0)
    refused(blindscore.ImportRefused, "^no rounding meets max_error 0.0", model, max_error=1e-12)
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_decisions_are_within_its_error_is_refused(tmp_path):
    # Incomes dwarf all else in the norm, so the scaled rest needs weights of thousands.
    X = NUMBERS.assign(income=np.round(np.exp(RANDOM.normal(10, 0.8, ROWS)), 2)).to_numpy()
    model = make_pipeline(Normalizer(), StandardScaler(), LogisticRegression()).fit(X, TWO)
    with pytest.raises(blindscore.ImportRefused, match="decided by less than the error of a score"):
        blindscore.save(model, X, tmp_path / "m.safetensors")


def test_texts_that_read_as_numbers_are_named(tmp_path):
    model = LogisticRegression().fit(NUMBERS.to_numpy(), TWO.astype(str))
    with pytest.warns(UserWarning, match="clients return whole numbers"):
        blindscore.save(model, NUMBERS.to_numpy(), tmp_path / "m.safetensors")


class BaseEstimatorThatPredicts(BaseEstimator):
    def predict(self, X):
        return np.zeros(len(X))
