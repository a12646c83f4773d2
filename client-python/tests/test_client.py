"""Predictions: forms of rows, refusals, keys, steps."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time

import blindscore
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array


@pytest.fixture(scope="module")
def client(server: blindscore.LocalServer) -> blindscore.Client:
    return blindscore.Client(server.url, model="cancer", key="memory")


def test_it_answers_as_the_pipeline(client, cancer):
    X, pipeline = cancer.X, cancer.pipeline
    predicted = client.predict(X)
    assert predicted.index.equals(X.index)
    assert (predicted == pipeline.predict(X)).all()
    assert np.abs(client.predict_proba(X) - pipeline.predict_proba(X)).max().max() < 1e-3
    scores = client.decision_function(X)
    assert np.abs(scores - pipeline.decision_function(X)).max() < 7 * client.model.score_error
    assert client.classes_.tolist() == [0, 1]
    assert client.classes_.dtype == np.int64
    assert client.feature_names_in_.tolist() == list(X.columns)
    assert client.n_features_in_ == 30


def test_a_regression_gives_values(server, ridge):
    X, pipeline = ridge.X, ridge.pipeline
    client = blindscore.Client(server.url, model="ridge", key="memory")
    assert np.abs(client.predict(X) - pipeline.predict(X)).max() < 7 * client.model.score_error
    with pytest.raises(AttributeError, match="no classes"):
        _ = client.classes_
    with pytest.raises(AttributeError, match="no probabilities"):
        client.predict_proba(X)


def test_all_forms_of_rows_give_the_same(client, cancer):
    X, pipeline = cancer.X, cancer.pipeline
    X = X.head(40)
    wanted = pipeline.predict(X)
    numbers = X.to_numpy()
    shuffled = X[list(reversed(X.columns))]
    forms = {
        "array": numbers,
        "Fortran order": np.asfortranarray(numbers),
        "every other row": np.repeat(numbers, 2, axis=0)[::2],
        "list of lists": numbers.tolist(),
        "records": X.to_dict("records"),
        "other order": shuffled,
        "polars": pl.from_pandas(X),
        "objects": numbers.astype(object),
        "nullable": X.convert_dtypes(),
        "sparse": csr_array(numbers),
        "columns by number": pd.DataFrame(numbers),
    }
    for name, rows in forms.items():
        assert np.array_equal(np.asarray(client.predict(rows)), wanted), name
    assert client.predict(numbers[:0]).shape == (0,)
    assert client.predict_proba(numbers[:0]).shape == (0, 2)


def test_columns_that_are_not_used_are_named(client, cancer):
    X, y, pipeline = cancer.X, cancer.y, cancer.pipeline
    with pytest.warns(blindscore.UnusedColumnsWarning, match="'who', 'target'"):
        predicted = client.predict(X.assign(who="x", target=y))
    assert (predicted == pipeline.predict(X)).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda X: X.drop(columns="mean area"), "mean area"),
        (lambda X: X.to_numpy()[:, 1:], "29 columns, the model takes 30"),
        (lambda X: X.to_numpy()[0], "reshape"),
        (lambda X: X.iloc[0], "a Series is one column"),
        (lambda X: X.to_numpy().astype(complex), "complex128"),
        (lambda X: X.to_numpy()[None], "two dimensions"),
        (lambda X: "rows.csv", "not a text"),
        (lambda X: {"mean area": 1}, "must stand in a list"),
        (lambda X: [{"mean area": 1}], "mean radius"),
        (lambda X: [[1.0], [2.0]], "row 0 has 1 values"),
        (lambda X: 7, "int can't be read as rows"),
        (lambda X: X.assign(**{"mean area": pd.Timestamp(0)}), "mean area"),
    ],
)
def test_tables_that_are_none_are_refused_with_words(client, cancer, change, words):
    with pytest.raises(blindscore.SettingError, match=words):
        client.predict(change(cancer.X))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "is empty"),
        (None, "is empty"),
        (pd.NA, "is empty"),
        (np.ma.masked, "is empty"),
        (np.array(1.0), "is of type ndarray"),
        (np.inf, "not a finite number"),
        ("x", "is text"),
        (2**60, "beyond 2"),
        (10**400, "beyond 2"),
        (1e9, "is outside"),
        (b"x", "is of type bytes"),
        ([1], "is of type list"),
    ],
)
def test_rows_that_cant_be_scored_are_named(client, cancer, value, words):
    rows = cancer.X.head(3).astype(object)
    rows.iloc[1, 3] = value
    with pytest.raises(blindscore.RowError, match=words) as caught:
        client.predict(rows)
    [problem] = caught.value.problems
    assert (problem.row, problem.column, caught.value.rows) == (1, "mean area", [1])


def test_the_others_are_scored_if_asked_for(client, cancer):
    X, pipeline = cancer.X, cancer.pipeline
    rows = X.head(50).copy()
    rows.iloc[[3, 20], 0] = np.nan
    good = ~rows.isna().any(axis=1)
    wanted = pipeline.predict(X.head(50))
    with pytest.warns(blindscore.RowsMaskedWarning, match="2 of 50 rows"):
        masked = client.predict(rows.to_numpy(), on_error="mask")
    assert (masked.mask == ~good.to_numpy()).all()
    assert (masked.compressed() == wanted[good.to_numpy()]).all()
    with pytest.warns(blindscore.RowsMaskedWarning):
        series = client.predict(rows, on_error="mask")
    assert series.isna().to_numpy().nonzero()[0].tolist() == [3, 20]
    assert (series[good].astype(int) == wanted[good.to_numpy()]).all()
    with pytest.warns(blindscore.RowsMaskedWarning):
        shares = client.predict_proba(rows.to_numpy(), on_error="mask")
    assert np.abs(shares - pipeline.predict_proba(X.head(50))).max() < 1e-3
    assert not np.ma.is_masked(client.predict(X.head(3).to_numpy(), on_error="mask"))


def test_each_step_on_its_own(client, cancer, capsys):
    X, pipeline = cancer.X, cancer.pipeline
    client = blindscore.Client(client.url, model="cancer", key="memory", verbose=True)
    key = blindscore.SecretKey.generate(client.model)
    with pytest.raises(blindscore.SettingError, match="no evaluation key yet"):
        key.encrypt(X.iloc[0])
    key_id = client.upload(key)
    assert key.key_id == key_id
    assert key_id in repr(key)
    queries = [key.encrypt(row) for row in (X.iloc[0], X.iloc[0].to_numpy(), X.iloc[0].to_dict())]
    assert len(set(queries)) == 3, "each query has fresh randomness"
    for query in queries:
        response = client.score(query)
        answer = key.decrypt(response)
        assert answer.label == str(pipeline.predict(X.head(1))[0])
        assert abs(answer.probabilities[1] - pipeline.predict_proba(X.head(1))[0, 1]) < 1e-3
        with pytest.raises(blindscore.ResponseError, match="another query"):
            key.decrypt(response)
        key.decrypt(response, query=query)
    assert "query sent: 280 bytes; response received: 5,735 bytes" in capsys.readouterr().out
    other = blindscore.SecretKey.generate(client.model)
    with pytest.raises(blindscore.ResponseError):
        other.decrypt(response, query=queries[-1])
    damaged = bytes([response[0] ^ 1]) + response[1:]
    with pytest.raises(blindscore.ResponseError):
        key.decrypt(damaged, query=queries[-1])
    copy = blindscore.SecretKey.from_bytes(key.to_bytes(), client.model)
    assert copy.decrypt(response, query=queries[-1]).label == answer.label
    assert client.delete(key_id)
    assert not client.delete(key_id)
    with pytest.raises(blindscore.ServerError):
        client.score(queries[0])


def test_secrets_are_not_pickled(client):
    for secret in (client, client.secret_key()):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret)


def test_a_key_stays_in_its_file_and_a_lost_one_is_replaced(server, cancer, tmp_path):
    X, pipeline = cancer.X, cancer.pipeline
    path = tmp_path / "mine.key"
    client = blindscore.Client(server.url, model="cancer", key=path)
    client.predict(X.head())
    assert path.stat().st_mode & 0o777 == 0o600
    again = blindscore.Client(server.url, model="cancer", key=path)
    assert again.key_id == client.key_id
    # The server loses the key, as after its time.
    again.delete(client.key_id)
    assert (client.predict(X.head()) == pipeline.predict(X.head())).all()
    assert client.key_id != again.key_id
    path.chmod(0o640)
    with pytest.raises(blindscore.KeyFileError, match=r"open to other users .* run `chmod 600 '.*mine\.key'`"):
        blindscore.Client(server.url, model="cancer", key=path)
    client.forget()
    assert not path.exists()
    path.write_bytes(b"no key")
    with pytest.raises(blindscore.KeyFileError, match="not a secret key"):
        blindscore.Client(server.url, model="cancer", key=path)


def test_settings_that_cant_be_used_are_named(server, monkeypatch):
    def refused(error, words, *args, **options):
        with pytest.raises(error, match=words):
            blindscore.Client(*args, **options)

    monkeypatch.delenv("BLINDSCORE_URL", raising=False)
    refused(blindscore.SettingError, "url is missing")
    refused(blindscore.SettingError, "model is missing", server.url)
    refused(blindscore.SettingError, "http://HOST", "ftp://a", "m")
    refused(blindscore.SettingError, "timeout", server.url, "cancer", timeout=0)
    refused(blindscore.SettingError, "max_wait", server.url, "cancer", max_wait=float("nan"))
    refused(blindscore.SettingError, "in_flight", server.url, "cancer", in_flight=0)
    refused(blindscore.SettingError, "token", server.url, "cancer", token="a\n")
    refused(blindscore.SettingError, "token", server.url, "cancer", token="ä")
    refused(blindscore.SettingError, "password can't stand", server.url.replace("//", "//user:secret@"), "cancer")
    refused(blindscore.NoModelError, "the server has .*cancer", server.url, "churn")
    refused(blindscore.ModelChangedError, "nothing was sent", server.url, "cancer", model_id="0" * 32)
    refused(blindscore.ConnectionError, "no answer", "http://127.0.0.1:1", "cancer", max_wait=1)
    monkeypatch.setenv("BLINDSCORE_URL", server.url)
    monkeypatch.setenv("BLINDSCORE_MODEL", "cancer")
    pinned = blindscore.Client(key="memory").model_id
    assert blindscore.Client(key="memory", model_id=pinned).model_id == pinned


def test_threads_share_a_client(client, cancer):
    X, pipeline = cancer.X, cancer.pipeline
    found = [None] * 8

    def predict(place: int) -> None:
        found[place] = client.predict(X.to_numpy())

    threads = [threading.Thread(target=predict, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for predicted in found:
        assert (predicted == pipeline.predict(X)).all()


def _predict_in_child(client, rows, answers):
    answers.put(client.predict(rows).tolist())


def test_a_client_works_after_a_fork(client, cancer):
    X, pipeline = cancer.X, cancer.pipeline
    rows = X.head(40).to_numpy()
    client.predict(rows)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    children = [context.Process(target=_predict_in_child, args=(client, rows, answers)) for _ in range(2)]
    for child in children:
        child.start()
    # The parent goes on with its own connection at the same time.
    own = [client.predict(rows).tolist() for _ in range(20)]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    wanted = pipeline.predict(X.head(40)).tolist()
    assert all(answer == wanted for answer in [*own, answers.get(), answers.get()])


def test_ctrl_c_ends_the_wait_for_a_server_that_has_gone(models, cancer):
    with blindscore.LocalServer(models) as server:
        client = blindscore.Client(server.url, model="cancer", key="memory")
        client.predict(cancer.X.head())
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    # Shells start programs in the background with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        started = time.monotonic()
        # Without the signal, the client would go on trying for half a minute and more.
        with pytest.raises(KeyboardInterrupt):
            client.predict(cancer.X.head())
        assert time.monotonic() - started < 10
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
