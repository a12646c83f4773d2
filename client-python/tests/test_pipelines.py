"""Pipelines of scikit-learn, saved from live objects, answer as the originals do."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, LogisticRegressionCV, PoissonRegressor, Ridge, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC

import blindscore

ROWS = 400
NUMBERS = ["age", "income", "debt ratio", "visits"]
WORDS = ["great", "quality", "poor", "service", "café", "again", "never", "fast", "slow", "price"]


def data() -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS).astype(float),
            "income": np.round(random.lognormal(10.5, 0.4, ROWS), 2),
            "debt ratio": np.round(random.beta(2, 5, ROWS), 4),
            "visits": random.poisson(2, ROWS).astype(float),
            "job": random.choice(["nurse", "clerk", "cook", "smith's, son"], ROWS),
            "text": [" ".join(random.choice(WORDS, random.integers(1, 7))) for _ in range(ROWS)],
        }
    )


DATA = data()
SCORES = DATA["age"] / 40 + 3 * DATA["debt ratio"] - np.log(DATA["income"]) / 5 + DATA["visits"] / 4
BINARY = (SCORES.median() < SCORES).astype(int).to_numpy()
NAMED = np.array(["high", "low", "mid"])[np.digitize(SCORES, np.quantile(SCORES, [0.3, 0.7]))]
LABELS = np.column_stack([BINARY, DATA["age"] > 50, DATA["visits"] > 1]).astype(int)
SENTIMENT = DATA["text"].str.contains("great|fast|quality").astype(int).to_numpy()
WITH_GAPS = DATA[NUMBERS].mask(np.random.default_rng(5).random((ROWS, 4)) < 0.1)
FRAME = DATA[NUMBERS]
FLOATS = FRAME.to_numpy(dtype=np.float32)
MIXED = DATA[[*NUMBERS, "job"]]


def columns(numbers: Any, words: Any = None) -> ColumnTransformer:
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("job", words or OneHotEncoder(handle_unknown="ignore"), ["job"])])


#: Pipeline, rows and targets by name.
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "frame": (make_pipeline(StandardScaler(), LogisticRegression()), FRAME, BINARY),
    "named-classes": (make_pipeline(StandardScaler(), LogisticRegression()), FRAME, NAMED),
    "bool-classes": (make_pipeline(StandardScaler(), LogisticRegression()), FRAME, BINARY == 1),
    "float-classes": (make_pipeline(StandardScaler(), LogisticRegression()), FRAME, BINARY.astype(float)),
    "float32": (make_pipeline(StandardScaler(), LogisticRegression()), FLOATS, NAMED),
    "fortran": (make_pipeline(MinMaxScaler(), LogisticRegression()), np.asfortranarray(FRAME.to_numpy()), NAMED),
    "cv": (make_pipeline(RobustScaler(), LogisticRegressionCV(cv=3, use_legacy_attributes=False, scoring="accuracy")), FRAME, BINARY),
    "imputer": (make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression()), WITH_GAPS, BINARY),
    "indicator": (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()), WITH_GAPS, BINARY),
    "integers": (Ridge(), FRAME[["visits", "age"]].astype(np.int64), SCORES),
    "ridge": (make_pipeline(StandardScaler(), Ridge()), FRAME, SCORES),
    "ridge-column": (make_pipeline(StandardScaler(), Ridge()), FRAME, SCORES.to_numpy().reshape(-1, 1)),
    "two-targets": (make_pipeline(StandardScaler(), LinearRegression()), FRAME, np.column_stack([SCORES, DATA["age"]])),
    "poisson": (make_pipeline(StandardScaler(), PoissonRegressor()), FRAME, DATA["visits"]),
    "svr": (make_pipeline(StandardScaler(), SVR(kernel="linear")), FRAME, SCORES),
    "bins": (make_pipeline(KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), LogisticRegression()), FRAME, BINARY),
    "mixed": (make_pipeline(columns(StandardScaler()), LogisticRegression()), MIXED, BINARY),
    "mixed-gaps": (
        make_pipeline(columns(make_pipeline(SimpleImputer(), StandardScaler())), LogisticRegression()),
        WITH_GAPS.assign(job=DATA["job"]),
        NAMED,
    ),
    "ordinal": (make_pipeline(columns(StandardScaler(), OrdinalEncoder()), LogisticRegression()), MIXED, BINARY),
    "category": (make_pipeline(columns(StandardScaler()), LogisticRegression()), MIXED.astype({"job": "category"}), BINARY),
    "multilabel": (make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())), FRAME, LABELS),
    "one-against-rest": (make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())), FRAME, NAMED),
    "normalizer": (make_pipeline(Normalizer(), LogisticRegression(C=1000)), FRAME[["age", "debt ratio", "visits"]], BINARY),
    "pca": (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()), FRAME, NAMED),
    "selection": (make_pipeline(StandardScaler(), SelectKBest(k=2), LogisticRegression()), FRAME, BINARY),
    "polynomial": (make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), Ridge()), FRAME, SCORES),
    "maxabs": (make_pipeline(MaxAbsScaler(), RidgeClassifier()), FRAME, NAMED),
    "sgd": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), FRAME, BINARY),
    "hinge": (make_pipeline(StandardScaler(), SGDClassifier(random_state=0)), FRAME, NAMED),
    "linear-svc": (make_pipeline(StandardScaler(), LinearSVC()), FRAME, BINARY),
    "linear-svc-three": (make_pipeline(StandardScaler(), LinearSVC()), FRAME, NAMED),
    "svc": (make_pipeline(StandardScaler(), SVC(kernel="linear")), FRAME, BINARY),
    "svc-three": (make_pipeline(StandardScaler(), SVC(kernel="linear")), FRAME, NAMED),
    "gaussian-nb": (GaussianNB(), FRAME[["age", "debt ratio", "visits"]], NAMED),
    "multinomial-nb": (MultinomialNB(), FRAME[["age", "visits"]], BINARY),
    "bernoulli-nb": (make_pipeline(StandardScaler(), BernoulliNB()), FRAME, BINARY),
    "lda": (make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()), FRAME, NAMED),
    "qda": (make_pipeline(StandardScaler(), QuadraticDiscriminantAnalysis()), FRAME, BINARY),
    "tfidf": (make_pipeline(TfidfVectorizer(), LogisticRegression()), DATA["text"], SENTIMENT),
    "counts": (make_pipeline(CountVectorizer(ngram_range=(1, 2)), LogisticRegression()), DATA["text"].to_numpy(), SENTIMENT),
    "texts": (make_pipeline(TfidfVectorizer(), LogisticRegression()), DATA["text"].tolist(), SENTIMENT),
    "svd": (make_pipeline(TfidfVectorizer(), TruncatedSVD(3, random_state=0), LogisticRegression()), DATA["text"].tolist(), SENTIMENT),
    "hashed": (make_pipeline(HashingVectorizer(n_features=256), LogisticRegression(C=10)), DATA["text"], SENTIMENT),
    "hashed-pairs": (
        make_pipeline(
            HashingVectorizer(n_features=64, ngram_range=(1, 2), norm=None, alternate_sign=False, stop_words=["never"]),
            TfidfTransformer(),
            LogisticRegression(C=10),
        ),
        DATA["text"].to_numpy(),
        SENTIMENT,
    ),
    "hashed-letters": (
        make_pipeline(HashingVectorizer(n_features=512, analyzer="char", ngram_range=(2, 3), binary=True, norm="l1"), LogisticRegression(C=100)),
        DATA["text"].tolist(),
        SENTIMENT,
    ),
    "hashed-column": (
        make_pipeline(
            ColumnTransformer([("numbers", StandardScaler(), NUMBERS), ("text", HashingVectorizer(n_features=32, lowercase=False), "text")]),
            LogisticRegression(),
        ),
        DATA[[*NUMBERS, "text"]],
        BINARY,
    ),
    "splines": (make_pipeline(StandardScaler(), SplineTransformer(), LogisticRegression()), FRAME, BINARY),
    "splines-float32": (make_pipeline(StandardScaler(), SplineTransformer(degree=2, include_bias=False), LogisticRegression()), FLOATS, NAMED),
    "splines-quantile": (
        make_pipeline(SplineTransformer(n_knots=4, knots="quantile", extrapolation="linear"), Ridge()),
        FRAME[["age", "income"]],
        SCORES,
    ),
    "splines-continued": (make_pipeline(SplineTransformer(degree=1, extrapolation="continue"), Ridge()), FRAME[["age", "visits"]], SCORES),
    "splines-periodic": (
        make_pipeline(columns(SplineTransformer(n_knots=7, extrapolation="periodic")), LogisticRegression()),
        MIXED,
        NAMED,
    ),
    "splines-error": (make_pipeline(StandardScaler(), SplineTransformer(extrapolation="error"), Ridge()), FRAME, SCORES),
    "splines-flag": (
        make_pipeline(ColumnTransformer([("flag", SplineTransformer(n_knots=3), ["old"])], remainder="passthrough"), Ridge()),
        FRAME.assign(old=DATA["age"] > 50),
        SCORES,
    ),
    "hashed-sublinear": (
        make_pipeline(
            HashingVectorizer(n_features=64, norm=None, alternate_sign=False), TfidfTransformer(sublinear_tf=True), LogisticRegression(C=10)
        ),
        DATA["text"],
        SENTIMENT,
    ),
    "splines-gaps": (make_pipeline(SplineTransformer(handle_missing="zeros"), Ridge()), WITH_GAPS, SCORES),
    "splines-degree-0": (make_pipeline(SplineTransformer(degree=0, extrapolation="continue"), Ridge()), FRAME, SCORES),
    "splines-lines": (make_pipeline(SplineTransformer(degree=1, extrapolation="linear"), Ridge()), FRAME, SCORES),
    "splines-ties": (make_pipeline(SplineTransformer(n_knots=12, knots="quantile"), Ridge()), FRAME[["visits"]], SCORES),
    "hashed-many": (make_pipeline(HashingVectorizer(), LogisticRegression()), DATA["text"], SENTIMENT),
    "hashed-tokens": (
        make_pipeline(HashingVectorizer(n_features=64, tokenizer=str.split, token_pattern=None), LogisticRegression()),
        DATA["text"],
        SENTIMENT,
    ),
    "hashed-pattern": (make_pipeline(HashingVectorizer(n_features=64, token_pattern="[a-z]+"), LogisticRegression()), DATA["text"], SENTIMENT),
    "hashed-accents": (make_pipeline(HashingVectorizer(n_features=64, strip_accents="unicode"), LogisticRegression()), DATA["text"], SENTIMENT),
    "hashed-edges": (make_pipeline(HashingVectorizer(n_features=64, analyzer="char_wb"), LogisticRegression()), DATA["text"], SENTIMENT),
    "bagging": (BaggingClassifier(make_pipeline(StandardScaler(), LogisticRegression()), 4, random_state=0), FLOATS, BINARY),
    "voting": (
        VotingClassifier([("a", make_pipeline(StandardScaler(), LogisticRegression())), ("b", make_pipeline(MinMaxScaler(), LogisticRegression()))]),
        FRAME,
        BINARY,
    ),
    "soft-voting": (
        VotingClassifier(
            [("a", make_pipeline(StandardScaler(), LogisticRegression())), ("b", make_pipeline(MinMaxScaler(), LogisticRegression()))], voting="soft"
        ),
        FRAME,
        BINARY,
    ),
    "log-target": (TransformedTargetRegressor(make_pipeline(StandardScaler(), Ridge()), func=np.log, inverse_func=np.exp), FRAME, DATA["income"]),
    "function": (make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression()), FRAME, BINARY),
}

#: Kinds that can't be served, with words of the refusal.
REFUSED = {
    "indicator": "can't convert this model",
    "qda": "QuadraticDiscriminantAnalysis is not served",
    "log-target": "TransformedTargetRegressor",
    "function": "FunctionTransformer is not supported",
    "splines-degree-0": "KBinsDiscretizer gives the same",
    "splines-lines": "continues lines from the second knot",
    "splines-ties": "knots that coincide",
    "hashed-many": "n_features=2..14 or less",
    "hashed-tokens": "leave tokenizer as it is",
    "hashed-pattern": "Leave token_pattern as it is",
    "hashed-accents": "leave strip_accents as it is",
    "hashed-edges": '"word" and "char" are',
}
SERVED = [name for name in KINDS if name not in REFUSED]


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    return {name: model.fit(X, y) for name, (model, X, y) in KINDS.items()}


@pytest.fixture(scope="module")
def serving(fitted: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[blindscore.LocalServer]:
    folder: Path = tmp_path_factory.mktemp("pipelines")
    for name in SERVED:
        blindscore.save(fitted[name], KINDS[name][1], folder / f"{name}.safetensors")
    with blindscore.LocalServer(folder) as server:
        yield server


def first(X: Any, rows: int = 80) -> Any:
    return X.iloc[:rows] if hasattr(X, "iloc") else X[:rows]


# Columns that a selection leaves out are not needed.
@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
@pytest.mark.parametrize("name", SERVED)
def test_answers_as_the_original(serving: blindscore.LocalServer, fitted: dict[str, Any], name: str) -> None:
    model, X = fitted[name], first(KINDS[name][1])
    client = blindscore.Client(serving.url, name, key="memory")
    predicted, expected = np.asarray(client.predict(X)), model.predict(X)
    assert predicted.shape == expected.shape
    if client.model.task == "regression":
        np.testing.assert_allclose(predicted, expected, atol=1e-3 * np.ptp(expected))
    else:
        assert (predicted == expected).all()
        assert client.model.n_probabilities > 0 or not hasattr(model, "predict_proba")
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(client.predict_proba(X), model.predict_proba(X), atol=1e-3)
    if is_classifier(model) and client.model.task == "classification":
        assert client.classes_.tolist() == model.classes_.tolist()
    if isinstance(X, pd.DataFrame):
        # Columns are found by name, and records are the same rows.
        others = X[X.columns[::-1]], json.loads(X.to_json(orient="records"))
        for other in others:
            again = np.asarray(client.predict(other))
            if client.model.task == "regression":
                np.testing.assert_allclose(again, expected, atol=1e-3 * np.ptp(expected))
            else:
                assert (again == expected).all()


@pytest.mark.parametrize("name", REFUSED)
def test_other_kinds_are_refused_in_words(fitted: dict[str, Any], tmp_path: Path, name: str) -> None:
    with pytest.raises(blindscore.ImportRefused, match=REFUSED[name]):
        blindscore.save(fitted[name], KINDS[name][1], tmp_path / f"{name}.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_labels_rename_the_classes(fitted: dict[str, Any], tmp_path: Path) -> None:
    blindscore.save(fitted["named-classes"], FRAME, tmp_path / "renamed.safetensors", labels=["H", "L", "M"])
    with blindscore.LocalServer(tmp_path) as server:
        client = blindscore.Client(server.url, "renamed", key="memory")
        assert client.classes_.tolist() == ["H", "L", "M"]
        assert client.predict(FRAME).tolist() == [label[0].upper() for label in fitted["named-classes"].predict(FRAME)]


@pytest.mark.parametrize(
    ("model", "X", "words"),
    [
        (LogisticRegression, FRAME, "LogisticRegression is a class: give a fitted object of it"),
        (make_pipeline(StandardScaler(), LogisticRegression()), FRAME, "is not fitted"),
        (None, FRAME, "NoneType is not a kind of model"),
        ("served", None, "NoneType can't be read as rows"),
        ("served", FRAME.to_dict("records"), "give a frame"),
        ("served", np.ma.masked_array(FLOATS, mask=FLOATS > 1000), "masked"),
        ("served", FRAME[:0], "there are no rows"),
    ],
)
def test_what_cannot_be_saved_is_refused_in_words(fitted: dict[str, Any], tmp_path: Path, model: Any, X: Any, words: str) -> None:
    with pytest.raises(blindscore.SettingError, match=words):
        blindscore.save(fitted["frame"] if isinstance(model, str) else model, X, tmp_path / "refused.safetensors")
    assert list(tmp_path.iterdir()) == []
