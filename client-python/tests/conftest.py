"""Models and servers for the tests of the Python package."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import blindscore


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the user's settings and keys out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BLINDSCORE_")]:
            patch.delenv(name)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def cancer() -> SimpleNamespace:
    """Breast-cancer rows ``X`` (569, 30), a frame; classes ``y``; a logistic ``pipeline`` fitted on
    them.
    """
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return SimpleNamespace(X=X, y=y, pipeline=make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y))


@pytest.fixture(scope="session")
def ridge() -> SimpleNamespace:
    """Diabetes rows ``X`` (442, 10), an array, so columns have no names; targets ``y``; a
    ``pipeline``.
    """
    X, y = load_diabetes(return_X_y=True)
    return SimpleNamespace(X=X, y=y, pipeline=make_pipeline(StandardScaler(), Ridge()).fit(X, y))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, cancer: SimpleNamespace, ridge: SimpleNamespace) -> Path:
    """A folder with the models "cancer" and "ridge"."""
    folder = tmp_path_factory.mktemp("models")
    blindscore.save(cancer.pipeline, cancer.X, folder / "cancer.safetensors")
    blindscore.save(ridge.pipeline, ridge.X, folder / "ridge.safetensors")
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[blindscore.LocalServer]:
    """A server with "cancer", "ridge" and the bundled models."""
    with blindscore.LocalServer(models) as server:
        yield server
