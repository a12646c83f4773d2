"""Boosted models of other libraries, saved from live objects, answer as the originals do."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import polars
import pytest
import xgboost
from agreement import Case, compare, first, save_all
from interpret.glassbox import ExplainableBoostingClassifier

import blindscore

ROWS = 300
RANDOM = np.random.default_rng(11)
FRAME = pd.DataFrame(
    {
        "age": RANDOM.integers(18, 90, ROWS),
        "income": np.round(RANDOM.lognormal(10.5, 0.4, ROWS), 2),
        "debt ratio": np.round(RANDOM.beta(2, 5, ROWS), 4),
        "visits": RANDOM.poisson(2, ROWS),
    }
)
SCORES = FRAME["age"] / 40 + 3 * FRAME["debt ratio"] - np.log(FRAME["income"]) / 5 + FRAME["visits"] / 4
TWO = (SCORES.median() < SCORES).astype(int).to_numpy()
THREE = np.digitize(SCORES, np.quantile(SCORES, [0.3, 0.7]))
NAMED = np.array(["low", "mid", "top"])[THREE]
GAPS = FRAME.astype(float).mask(RANDOM.random(FRAME.shape) < 0.2)
OTHERS = RANDOM.choice(["clerk", "nurse"], ROWS)
JOBS = FRAME.assign(job=pd.Categorical(np.where(RANDOM.integers(0, 3, ROWS) < 2 * TWO, "cook", OTHERS)))
FLOATS = FRAME.to_numpy(np.float32)

#: Few trees of a few decisions.
TREES: dict[str, Any] = {"n_estimators": 3, "max_depth": 3}
LEAVES: dict[str, Any] = {"n_estimators": 3, "num_leaves": 6, "verbose": -1}
LEVELS: dict[str, Any] = {"iterations": 3, "depth": 3, "verbose": 0, "allow_writing_files": False}

CASES = {
    "xgboost two": Case(xgboost.XGBClassifier(**TREES), FRAME, TWO),
    "xgboost names": Case(xgboost.XGBClassifier(**TREES), FRAME, THREE, {"labels": ["low", "mid", "top"]}),
    "xgboost value": Case(xgboost.XGBRegressor(**TREES), FRAME, SCORES),
    "xgboost counts": Case(xgboost.XGBRegressor(**TREES, objective="count:poisson"), FRAME[["age", "income"]], FRAME["visits"]),
    "xgboost forest": Case(xgboost.XGBRFClassifier(**TREES), FRAME, THREE),
    "xgboost dart": Case(xgboost.XGBClassifier(**TREES, booster="dart", rate_drop=0.5, random_state=1), FRAME, TWO),
    "xgboost gaps": Case(xgboost.XGBClassifier(**TREES), GAPS, TWO),
    "xgboost jobs": Case(xgboost.XGBClassifier(**TREES, enable_categorical=True), JOBS, TWO),
    "xgboost stopped": Case(
        xgboost.XGBClassifier(n_estimators=40, max_depth=3, learning_rate=1.0, early_stopping_rounds=2),
        FRAME[:150],
        TWO[:150],
        fit={"eval_set": [(FRAME[150:], TWO[150:])], "verbose": False},
    ),
    "xgboost once": Case(xgboost.XGBClassifier(n_estimators=10, max_depth=1), FRAME, THREE),
    "xgboost array": Case(xgboost.XGBClassifier(**TREES), FLOATS, TWO),
    "xgboost public": Case(xgboost.XGBClassifier(**TREES), GAPS, THREE, {"structure": "public"}),
    "xgboost quantiles": Case(xgboost.XGBClassifier(**TREES), GAPS, TWO, {"grid": "quantiles:8"}),
    "lightgbm two": Case(lightgbm.LGBMClassifier(**LEAVES), FRAME, TWO == 1),
    "lightgbm names": Case(lightgbm.LGBMClassifier(**LEAVES), FRAME, NAMED),
    "lightgbm value": Case(lightgbm.LGBMRegressor(**LEAVES), FRAME, SCORES),
    "lightgbm gaps": Case(lightgbm.LGBMClassifier(**LEAVES), GAPS, TWO),
    "lightgbm jobs": Case(lightgbm.LGBMClassifier(**LEAVES), JOBS, TWO),
    "lightgbm once": Case(lightgbm.LGBMRegressor(n_estimators=10, num_leaves=2, verbose=-1), GAPS, SCORES),
    "lightgbm public": Case(lightgbm.LGBMRegressor(**LEAVES), GAPS, SCORES, {"structure": "public"}),
    "catboost two": Case(catboost.CatBoostClassifier(**LEVELS), FRAME, TWO),
    "catboost names": Case(catboost.CatBoostClassifier(**LEVELS), FRAME, NAMED),
    "catboost words": Case(catboost.CatBoostClassifier(**LEVELS), GAPS, np.array(["no", "yes"])[TWO]),
    "catboost value": Case(catboost.CatBoostRegressor(**LEVELS), FRAME, SCORES),
    "catboost once": Case(catboost.CatBoostRegressor(**{**LEVELS, "depth": 1}), FRAME, SCORES),
    "catboost array": Case(catboost.CatBoostClassifier(**LEVELS, grow_policy="Lossguide"), FLOATS, THREE),
    "catboost public": Case(catboost.CatBoostClassifier(**LEVELS), FRAME, NAMED, {"structure": "public"}),
}
#: What is scored as a linear model.
LINEAR = [name for name in CASES if name.endswith(("once", "public"))]


@pytest.fixture(scope="module")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Every case, saved, and a server with all of them."""
    folder = tmp_path_factory.mktemp("boosted")
    saved = save_all(CASES, folder)
    with blindscore.LocalServer(folder) as server:
        yield SimpleNamespace(saved=saved, url=server.url)


# Trees needn't use all columns.
@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
@pytest.mark.parametrize("name", CASES)
def test_answers_as_the_original(boosted: SimpleNamespace, name: str) -> None:
    saved, case = boosted.saved[name], CASES[name]
    details = saved.report.details
    assert details["expected_rows"] == len(case.X)
    assert ("rotations" in details) == (name not in LINEAR)
    client = compare(boosted.url, saved, first(case.X, 6), case.options.get("labels"))
    if hasattr(case.X, "columns"):
        names = case.X.columns.tolist()
        assert client.feature_names_in_.tolist() == [name for name in names if name in client.feature_names_in_]


@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
def test_rows_come_in_any_form(boosted: SimpleNamespace) -> None:
    model, report = boosted.saved["lightgbm gaps"]
    client = blindscore.Client(boosted.url, report.name)
    # LightGBM has underscores for blanks.
    assert "debt_ratio" in model.booster_.feature_name() and "debt ratio" in client.feature_names_in_
    rows, error = GAPS.tail(5), report.details["probability_error"]
    wanted = model.predict_proba(rows)
    records = [{name: None if np.isnan(value) else value for name, value in record.items()} for record in rows.to_dict("records")]
    for form in (rows, rows[rows.columns[::-1]], records, polars.DataFrame(records), rows.assign(name="x")):
        np.testing.assert_allclose(client.predict_proba(form), wanted, rtol=0, atol=error)
    assert client.predict(rows).index.tolist() == rows.index.tolist()
    array = blindscore.Client(boosted.url, boosted.saved["xgboost array"].report.name)
    wanted = boosted.saved["xgboost array"].model.predict(FLOATS[:5])
    for form in (FLOATS[:5], FLOATS[:5].tolist(), pd.DataFrame(FLOATS[:5])):
        assert np.asarray(array.predict(form)).tolist() == wanted.tolist()


@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
def test_bare_boosters(boosted: SimpleNamespace, tmp_path: Path) -> None:
    models = {
        "xgboost": boosted.saved["xgboost names"].model.get_booster(),
        "lightgbm": boosted.saved["lightgbm value"].model.booster_,
        "catboost": catboost.CatBoost({**LEVELS, "loss_function": "RMSE"}).fit(FRAME, SCORES),
    }
    wanted = {
        "xgboost": boosted.saved["xgboost names"].model.predict(FRAME[:5]),
        "lightgbm": boosted.saved["lightgbm value"].model.predict(FRAME[:5]),
        "catboost": models["catboost"].predict(FRAME[:5]),
    }
    for name, model in models.items():
        report = blindscore.save(model, FRAME, tmp_path / name, check_rows=2)
        assert report.details["expected_rows"] == ROWS, name
    with blindscore.LocalServer(tmp_path) as server:
        for name, answers in wanted.items():
            found = blindscore.Client(server.url, name).predict(FRAME[:5])
            np.testing.assert_allclose(found, answers, atol=1e-2 * np.ptp(SCORES) if name != "xgboost" else 0)


def test_a_bare_booster_predicts_with_all_its_trees(tmp_path: Path) -> None:
    rows = [xgboost.DMatrix(FRAME[half], TWO[half]) for half in (slice(150), slice(150, None))]
    options = {"objective": "binary:logistic", "max_depth": 2, "eta": 1.0}
    booster = xgboost.train(options, rows[0], 40, evals=[(rows[1], "others")], early_stopping_rounds=2, verbose_eval=False)
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    report = blindscore.save(booster, FRAME, tmp_path / "whole", check_rows=1)
    assert report.details["trees"] == booster.num_boosted_rounds()
    assert booster.attr("best_iteration") is not None


@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
@pytest.mark.parametrize("model", [xgboost.XGBClassifier(**TREES), lightgbm.LGBMClassifier(**LEAVES), catboost.CatBoostClassifier(**LEVELS)])
def test_columns_have_any_names(model: Any, tmp_path: Path) -> None:
    names = {"age": "Größe (cm)", "income": "in/come%", "debt ratio": "debt  ratio", "visits": "visits #"}
    X = FRAME.rename(columns=names)
    wanted = model.fit(X, TWO).predict(X)
    blindscore.save(model, X, tmp_path / "frame", structure="public")
    # Records have columns that no tree uses, too.
    model.fit(X.assign(none=0.0), TWO)
    blindscore.save(model, X.assign(none=0.0).to_numpy(), tmp_path / "array", structure="public")
    with blindscore.LocalServer(tmp_path) as server:
        client = blindscore.Client(server.url, "frame")
        assert list(client.feature_names_in_) == list(names.values())
        assert (np.asarray(client.predict(X)) == wanted).all()
        known = blindscore.Client(server.url, "array").feature_names_in_
        assert (len(known), known[-1]) == (5, "none")


def test_trees_that_take_too_long_are_refused_in_words(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=30, max_depth=6).fit(FRAME, TWO)
    with pytest.raises(blindscore.ImportRefused, match=r"max_seconds allows 0\.001 s: its 30 trees.*structure public"):
        blindscore.save(model, FRAME, tmp_path / "slow", max_seconds=0.001)
    assert list(tmp_path.iterdir()) == []


def test_arguments_for_trees_are_checked(boosted: SimpleNamespace, tmp_path: Path) -> None:
    model = boosted.saved["xgboost two"].model

    def refused(error: Any, words: str, **options: Any) -> None:
        with pytest.raises(error, match=words):
            blindscore.save(model, FRAME, tmp_path / "refused", **options)

    refused(blindscore.SettingError, "structure: it is", structure="hidden")
    refused(blindscore.SettingError, "grid: it is", grid="quantiles:none")
    refused(blindscore.ImportRefused, "max_seconds are for", structure="public", max_seconds=1.0)
    refused(blindscore.ImportRefused, "ranges is not for trees", ranges=(0.0, 1.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "y", "words"),
    [
        (xgboost.XGBRanker(n_estimators=2), TWO, "rank"),
        (lightgbm.LGBMRegressor(n_estimators=2, linear_tree=True, verbose=-1), SCORES, "linear"),
        (catboost.CatBoostClassifier(**LEVELS, cat_features=["job"]), TWO, "categorical features"),
        (lightgbm.LGBMClassifier(**LEAVES, objective="multiclassova"), THREE, "multiclassova"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else "",
)
def test_what_is_not_served_is_refused_in_words(model: Any, y: Any, words: str, tmp_path: Path) -> None:
    X = JOBS.astype({"job": str}) if isinstance(model, catboost.CatBoost) else FRAME
    model.fit(X, y, **({"qid": np.zeros(ROWS, int)} if isinstance(model, xgboost.XGBRanker) else {}))
    with pytest.raises(blindscore.ImportRefused, match=words):
        blindscore.save(model, X, tmp_path / "refused")
    assert list(tmp_path.iterdir()) == []


def test_explainable_boosting_machines(cancer: SimpleNamespace, tmp_path: Path) -> None:
    X = cancer.X.iloc[:, :5]
    model = ExplainableBoostingClassifier(interactions=1, max_bins=16, outer_bags=2, n_jobs=1).fit(X, cancer.y)
    blindscore.save(model, X, tmp_path / "explainable")
    with blindscore.LocalServer(tmp_path) as server:
        client = blindscore.Client(server.url, "explainable", key="memory")
        assert client.feature_names_in_.tolist() == X.columns.tolist()
        assert (np.asarray(client.predict(X)) == model.predict(X)).all()
        np.testing.assert_allclose(client.predict_proba(X), model.predict_proba(X), atol=2e-3)
