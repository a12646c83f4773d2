"""XGBoost on scikit-learn's breast cancer table."""

from __future__ import annotations

from pathlib import Path

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from . import Task, Work

TREES, DEPTH = 100, 3


def prepare(folder: Path, images: Path) -> Task:
    """Fits the plain model to three quarters of the table. The others are the rows to score."""
    table, classes = load_breast_cancer(return_X_y=True)
    train, test, targets, classes = train_test_split(table, classes, random_state=0)
    settings = {"n_estimators": TREES, "max_depth": DEPTH}
    model = xgboost.XGBClassifier(**settings).fit(train, targets)
    model.save_model(folder / "model.json")
    work = Work(folder, train, targets, test, [], settings)
    title = f"XGBoost on breast cancer, {TREES} trees of depth {DEPTH}"
    return Task("trees", title, work, model.predict_proba(test).astype(float), classes)
