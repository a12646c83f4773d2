"""Boosted models of other libraries, saved from live objects, answer as the originals do."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from interpret.glassbox import ExplainableBoostingClassifier

import blindscore


def compare(model: Any, X: Any, folder: Path) -> None:
    """Saves a fitted classifier, and compares its encrypted answers with its own."""
    blindscore.save(model, X, folder / "boosted.safetensors")
    with blindscore.LocalServer(folder) as server:
        client = blindscore.Client(server.url, "boosted", key="memory")
        if hasattr(X, "columns"):
            assert client.feature_names_in_.tolist() == X.columns.tolist()
        assert (np.asarray(client.predict(X)) == model.predict(X)).all()
        np.testing.assert_allclose(client.predict_proba(X), model.predict_proba(X), atol=2e-3)


def test_explainable_boosting_machines(cancer: SimpleNamespace, tmp_path: Path) -> None:
    X = cancer.X.iloc[:, :5]
    compare(ExplainableBoostingClassifier(interactions=1, max_bins=16, outer_bags=2, n_jobs=1).fit(X, cancer.y), X, tmp_path)


@pytest.mark.parametrize("names", [True, False])
def test_xgboost_stumps(cancer: SimpleNamespace, tmp_path: Path, names: bool) -> None:
    X = cancer.X if names else cancer.X.to_numpy(dtype=np.float32)
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=1).fit(X, cancer.y)
    compare(model, X, tmp_path)
    assert (model.get_booster().feature_names is not None) == names
