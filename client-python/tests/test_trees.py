"""Trees of scikit-learn, and pipelines that end in trees, answer as the originals do."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from agreement import Case, compare, first, save_all
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import blindscore

ROWS = 300
RANDOM = np.random.default_rng(12)
NUMBERS = ["age", "income", "debt ratio", "visits"]
FRAME = pd.DataFrame(
    {
        "age": RANDOM.integers(18, 90, ROWS).astype(float),
        "income": np.round(RANDOM.lognormal(10.5, 0.4, ROWS), 2),
        "debt ratio": np.round(RANDOM.beta(2, 5, ROWS), 4),
        "visits": RANDOM.poisson(2, ROWS).astype(float),
    }
)
SCORES = FRAME["age"] / 40 + 3 * FRAME["debt ratio"] - np.log(FRAME["income"]) / 5 + FRAME["visits"] / 4
TWO = (SCORES.median() < SCORES).astype(int).to_numpy()
NAMED = np.array(["high", "low", "mid"])[np.digitize(SCORES, np.quantile(SCORES, [0.3, 0.7]))]
GAPS = FRAME.mask(RANDOM.random(FRAME.shape) < 0.1)
MIXED = GAPS.assign(job=np.where(RANDOM.integers(0, 3, ROWS) < 2 * TWO, "cook", RANDOM.choice(["clerk", "nurse"], ROWS)))
FLOATS = FRAME.to_numpy(np.float32)

#: Few trees of a few decisions.
SMALL: dict[str, Any] = {"n_estimators": 3, "max_depth": 3, "random_state": 0}
ROUNDS: dict[str, Any] = {"max_iter": 3, "max_leaf_nodes": 6, "random_state": 0}
LEAVES: dict[str, Any] = {"n_estimators": 3, "num_leaves": 6, "verbose": -1}


def columns() -> ColumnTransformer:
    return ColumnTransformer([("numbers", SimpleImputer(), NUMBERS), ("job", OneHotEncoder(handle_unknown="ignore"), ["job"])])


CASES = {
    "tree": Case(DecisionTreeClassifier(max_depth=4), FRAME, NAMED),
    "tree value": Case(DecisionTreeRegressor(max_depth=4), FRAME, SCORES),
    "forest": Case(RandomForestClassifier(**SMALL), FRAME, NAMED),
    "forest value": Case(RandomForestRegressor(**SMALL), FLOATS, SCORES),
    "extra": Case(ExtraTreesClassifier(**SMALL), FRAME, TWO),
    "extra value": Case(ExtraTreesRegressor(**SMALL), FRAME, SCORES),
    "boosting": Case(GradientBoostingClassifier(**SMALL), FRAME, TWO),
    "boosting three": Case(GradientBoostingClassifier(**SMALL), FRAME, NAMED),
    "boosting value": Case(GradientBoostingRegressor(**SMALL), FRAME, SCORES),
    "bins": Case(HistGradientBoostingClassifier(**ROUNDS), GAPS, TWO),
    "bins value": Case(HistGradientBoostingRegressor(**ROUNDS), FRAME, SCORES),
    "columns forest": Case(make_pipeline(columns(), RandomForestClassifier(**SMALL)), MIXED, NAMED),
    "columns bins": Case(make_pipeline(columns(), HistGradientBoostingClassifier(**ROUNDS)), MIXED, TWO),
    "columns xgboost": Case(make_pipeline(columns(), xgboost.XGBClassifier(n_estimators=3, max_depth=3)), MIXED, TWO),
    "columns lightgbm": Case(make_pipeline(columns(), lightgbm.LGBMClassifier(**LEAVES)), MIXED, NAMED),
    "imputed": Case(make_pipeline(SimpleImputer(strategy="median"), GradientBoostingRegressor(**SMALL)), GAPS, SCORES),
    "scaled forest": Case(make_pipeline(StandardScaler(), RandomForestClassifier(**SMALL)), FRAME, TWO),
    "scaled xgboost": Case(make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=3, max_depth=3)), FRAME, TWO),
    "imputed xgboost once": Case(make_pipeline(SimpleImputer(), xgboost.XGBRegressor(n_estimators=5, max_depth=1)), GAPS, SCORES),
    "scaled lightgbm": Case(make_pipeline(StandardScaler(), lightgbm.LGBMRegressor(**LEAVES)), FRAME, SCORES),
    "public forest": Case(RandomForestClassifier(**SMALL), FRAME, NAMED, {"structure": "public"}),
    "public columns": Case(make_pipeline(columns(), GradientBoostingClassifier(**SMALL)), MIXED, NAMED, {"structure": "public"}),
    "quantiles": Case(make_pipeline(columns(), RandomForestClassifier(**SMALL)), MIXED, TWO, {"grid": "quantiles:8"}),
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Every case, saved, and a server with all of them."""
    folder = tmp_path_factory.mktemp("trees")
    saved = save_all(CASES, folder)
    with blindscore.LocalServer(folder) as server:
        yield SimpleNamespace(saved=saved, url=server.url)


# Trees needn't use all columns.
@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
@pytest.mark.parametrize("name", CASES)
def test_answers_as_the_original(trees: SimpleNamespace, name: str) -> None:
    saved, case = trees.saved[name], CASES[name]
    assert saved.report.details["expected_rows"] == ROWS
    compare(trees.url, saved, first(case.X, 6))


@pytest.mark.filterwarnings("ignore::blindscore.UnusedColumnsWarning")
def test_unknown_categories_and_gaps_are_as_in_the_pipeline(trees: SimpleNamespace) -> None:
    rows = MIXED.head(4).assign(job=["pilot", "clerk", None, "cook"])
    rows.loc[1, "income"] = np.nan
    for name in ("columns forest", "columns xgboost", "public columns"):
        compare(trees.url, trees.saved[name], rows)


def test_numbers_that_a_scaler_computes_otherwise_are_refused_in_words(tmp_path: Path) -> None:
    # XGBoost's thresholds are numbers of the rows, and clients compute with more digits.
    model = make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=20, max_depth=3)).fit(FLOATS, TWO)
    with pytest.raises(blindscore.ImportRefused, match="rows in double precision, or leave out the scaler"):
        blindscore.save(model, FLOATS, tmp_path / "refused", check_rows=2)
    model = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=5, max_depth=1)).fit(FRAME, SCORES)
    with pytest.raises(blindscore.ImportRefused, match="on the edge .* trees need no scaler"):
        blindscore.save(model, FRAME, tmp_path / "refused")
    assert list(tmp_path.iterdir()) == []
