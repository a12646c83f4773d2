"""Rows of every odd kind: answered as they should be, or refused with words."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

import blindscore


@pytest.fixture(scope="module")
def client(server: blindscore.LocalServer) -> blindscore.Client:
    return blindscore.Client(server.url, "ridge", key="memory")


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_sparse_matrices_of_all_formats_are_tables(client: blindscore.Client, ridge: Any, form: str) -> None:
    matrix = sparse.csr_matrix(ridge.X[:20]).asformat(form)
    np.testing.assert_allclose(client.predict(matrix), ridge.pipeline.predict(ridge.X[:20]), atol=0.1)


def test_masked_values_are_missing(client: blindscore.Client, ridge: Any) -> None:
    masked = np.ma.masked_array(ridge.X[:5], mask=np.eye(5, 10, dtype=bool))
    for rows in (masked, masked.astype(object), list(masked), masked.astype(int)):
        with pytest.raises(blindscore.RowError, match="row 4, column '5': is empty") as caught:
            client.predict(rows)
        assert caught.value.rows == [0, 1, 2, 3, 4]
    nothing = np.ma.masked_array(ridge.X[:5], mask=False)
    np.testing.assert_allclose(client.predict(nothing), ridge.pipeline.predict(ridge.X[:5]), atol=0.1)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (sparse.csr_matrix(np.full((2, 10), 1j)), "a sparse matrix of complex128 holds no numbers"),
        (sparse.csr_matrix(np.full((2, 10), 2**60)), r"whole numbers beyond 2\*\*53"),
        (sparse.csr_matrix(np.ones((2, 9))), "the rows have 9 columns, the model takes 10"),
        ([[0] * 10, {"a": 1}], "row 0 is a list and row 1 a dict"),
        (np.full((2, 10), 1j), "an array of complex128 holds neither numbers nor texts"),
        (np.zeros(10), "for a single row write"),
        (np.zeros((1, 1, 10)), "this array has 3"),
        ({"a": 1}, "a single record must stand in a list"),
    ],
)
def test_other_rows_are_refused_in_words(client: blindscore.Client, rows: Any, words: str) -> None:
    with pytest.raises(blindscore.SettingError, match=words):
        client.predict(rows)


@pytest.mark.parametrize("in_flight", [0, -1, 65, 2**70, 1.5, "4"])
def test_the_number_of_requests_at_a_time_has_bounds(server: blindscore.LocalServer, in_flight: Any) -> None:
    # Each has a thread, and what can't start a thread panics.
    with pytest.raises(blindscore.SettingError, match="is not a whole number between 1 and 64"):
        blindscore.Client(server.url, "ridge", key="memory", in_flight=in_flight)
