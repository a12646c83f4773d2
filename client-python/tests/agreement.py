"""Comparison of a model's encrypted answers with its own."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import blindscore

#: Rounding of sums in single precision, in which XGBoost and converters add up leaves.
ROUNDING = 1e-5


class Case(NamedTuple):
    """A model that isn't fitted, what it is fitted to, and how it is saved."""

    model: Any
    X: Any
    y: Any
    options: dict[str, Any] = {}
    #: Further arguments of ``fit``.
    fit: dict[str, Any] = {}


class Saved(NamedTuple):
    """A fitted model, and the report on its model file."""

    model: Any
    report: blindscore.Report


def save_all(cases: dict[str, Case], folder: Path) -> dict[str, Saved]:
    """Fits and saves models, each under its name with '-' for blanks."""
    saved = {}
    for name, case in cases.items():
        model = case.model.fit(case.X, case.y, **case.fit)
        options = {"check_rows": 1, **case.options}
        saved[name] = Saved(model, blindscore.save(model, case.X, folder / name.replace(" ", "-"), **options))
    return saved


def first(X: Any, rows: int) -> Any:
    return X.iloc[:rows] if hasattr(X, "iloc") else X[:rows]


def compare(url: str, saved: Saved, X: Any, labels: list[str] | None = None) -> blindscore.Client:
    """Compares answers to rows. ``labels`` are names of the classes that the caller gave."""
    model, report = saved
    client = blindscore.Client(url, report.name)
    found, wanted = np.asarray(client.predict(X)), np.ravel(model.predict(X))
    if client.model.task == "regression":
        if json.loads(client.model.to_json())["link"] == "exp":
            found, wanted = np.log(found), np.log(wanted)
        np.testing.assert_allclose(found, wanted, rtol=ROUNDING, atol=report.details["stated_error"])
        return client
    shares = model.predict_proba(X)
    error = report.details["probability_error"] + ROUNDING
    assert error < 0.02
    np.testing.assert_allclose(client.predict_proba(X), shares, rtol=0, atol=error)
    classes = np.asarray(model.classes_)
    if labels is not None:
        wanted = np.asarray(labels)[np.searchsorted(classes, wanted)]
        classes = np.asarray(labels)
    assert client.classes_.tolist() == classes.tolist()
    close = np.diff(np.sort(shares, axis=1)[:, -2:], axis=1)[:, 0] <= 2 * error
    assert ((found == wanted) | close).all() and close.mean() < 0.5
    return client
