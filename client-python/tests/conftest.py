"""Models and a server for the tests. They run against the installed wheel and the server in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import blindscore
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="session")
def cancer() -> tuple[pd.DataFrame, pd.Series, Pipeline]:
    """A table, its answers and a pipeline with two classes."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X, y, make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X, y)


@pytest.fixture(scope="session")
def diabetes() -> tuple[pd.DataFrame, pd.Series, Pipeline]:
    """A table, its answers and a regression."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X, y, make_pipeline(StandardScaler(), Ridge()).fit(X, y)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, cancer: tuple, diabetes: tuple) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, (X, _, pipeline) in {"cancer": cancer, "ridge": diabetes}.items():
        blindscore.save(pipeline, X, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="session")
def server(models: Path) -> Iterator[blindscore.LocalServer]:
    with blindscore.LocalServer(models) as server:
        yield server
