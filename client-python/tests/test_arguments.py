"""Arguments of the client, which stand in several places, and the variables that stand for them."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import blindscore
from blindscore import _client, spark
from blindscore.aio import AsyncClient
from blindscore.sklearn import BlindscoreClassifier, BlindscoreRegressor

ROOT = Path(__file__).resolve().parents[2]

#: What has the client's arguments: which it lacks, and which of its own it has, with the reasons.
TAKERS: dict[Callable[..., Any], tuple[dict[str, str], dict[str, str]]] = {
    AsyncClient: ({}, {}),
    BlindscoreClassifier: ({"verbose": "scikit-learn's tools call it many times, and print results of their own"}, {}),
    BlindscoreRegressor: ({"verbose": "scikit-learn's tools call it many times, and print results of their own"}, {}),
    spark.predict_udf: (
        {"verbose": "what workers print, nobody sees"},
        {"columns": "tables of a cluster have more columns", "keep": "results are tables", "output": "one function gives one table"},
    ),
}
#: Variables of the program that stand for nothing in Python.
OTHERS = {
    "BLINDSCORE_MODELS_DIR": "option of commands that make and show model files; functions take a path",
    "BLINDSCORE_MNIST_DIR": "option of a command that Python doesn't have",
}


def arguments(taker: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(taker).parameters)


@pytest.mark.parametrize("taker", TAKERS, ids=lambda taker: taker.__name__)
def test_takes_the_arguments_of_the_client(taker: Callable[..., Any]) -> None:
    lacks, has = TAKERS[taker]
    wanted, found = arguments(blindscore.Client), arguments(taker)
    assert set(wanted) - set(found) == set(lacks)
    assert set(found) - set(wanted) == set(has)
    common = [name for name in wanted if name not in lacks]
    assert [name for name in found if name not in has] == common, "another order"
    for name in common:
        # Name, kind, default and type.
        assert str(found[name]) == str(wanted[name]) and found[name].kind == wanted[name].kind


@pytest.mark.parametrize("taker", [blindscore.Client, *TAKERS], ids=lambda taker: taker.__name__)
def test_describes_its_arguments(taker: Callable[..., Any]) -> None:
    text = inspect.getdoc(taker) or ""
    if taker is AsyncClient:
        assert "The arguments are those of :class:`blindscore.Client`" in text
        return
    described = re.search(r"^Args:\n(.*?)^\S", text, re.DOTALL | re.MULTILINE)
    assert described is not None
    assert re.findall(r"^    (\w+): ", described[1], re.MULTILINE) == list(arguments(taker))


def test_workers_get_all_that_makes_a_client() -> None:
    assert set(spark._Settings._fields) == set(arguments(blindscore.Client)) - {"verbose"}


def test_reads_the_variables_of_the_program() -> None:
    rust = (ROOT / "protocol/src/environment.rs").read_text()
    known = set(re.findall(r'"(BLINDSCORE_[A-Z_]+)"', rust))
    read = set(re.findall(r'_(?:setting|seconds)\(\w+, "(\w+)"\)', inspect.getsource(_client)))
    assert len(read) > 5 and known == read | set(OTHERS)


def test_time_limits_stand_in_variables_as_for_the_program(server: blindscore.LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(**given: float) -> tuple[float, float]:
        connection = blindscore.Client(server.url, "cancer", key="memory", **given)._connection
        return connection.timeout, connection.max_wait

    assert limits() == (60, 600)
    monkeypatch.setenv("BLINDSCORE_TIMEOUT", "5")
    monkeypatch.setenv("BLINDSCORE_MAX_WAIT", "+007")
    assert limits() == (5, 7)
    assert limits(timeout=1.5) == (1.5, 7)
    # The driver's variables count, and not those of workers.
    settings = spark.predict_udf(server.url, "cancer", key="memory")._settings
    assert (settings.timeout, settings.max_wait) == (5, 7)
    monkeypatch.setenv("BLINDSCORE_MAX_WAIT", "")
    assert limits() == (5, 600)
    for wrong in ("1.5", " 5", "soon", "5_0", "-1", "1e3", "\u0665"):
        monkeypatch.setenv("BLINDSCORE_TIMEOUT", wrong)
        with pytest.raises(blindscore.SettingError, match="BLINDSCORE_TIMEOUT: .* is not a whole number of seconds"):
            limits()
        assert limits(timeout=9)[0] == 9
    for wrong in ("0", "86401", "9" * 400):
        monkeypatch.setenv("BLINDSCORE_TIMEOUT", wrong)
        with pytest.raises(blindscore.SettingError, match="timeout: .* is not between 1 and 86400 seconds"):
            limits()
