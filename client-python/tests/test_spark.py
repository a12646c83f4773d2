"""Scoring in Spark and Dask."""

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.dataframe
import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

import blindscore
from blindscore import spark as module
from blindscore.spark import predict_udf


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").appName("blindscore tests")
    builder = builder.config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
    session = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", "500").getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def table(cancer: SimpleNamespace) -> Any:
    """Breast-cancer rows five times (2845, 31), with an ``id``. Rows 5 and 7 can't be scored."""
    table = pd.concat([cancer.X] * 5, ignore_index=True)
    table.insert(3, "id", range(len(table)))
    table.loc[5, "mean radius"] = None
    table.loc[7, "mean radius"] = 1e9
    return table


@pytest.fixture(autouse=True)
def _no_clients() -> None:
    module._clients.clear()


def expect_right(answers: Any, cancer: SimpleNamespace) -> None:
    """Compares the answers to ``table``, sorted by id, with the pipeline's own."""
    rows = len(cancer.X)
    assert answers["id"].tolist() == list(range(5 * rows))
    refused = answers["error"].notna()
    assert answers.index[refused].tolist() == [5, 7]
    assert "column 'mean radius': " in answers["error"][5] and "is outside" in answers["error"][7]
    assert answers.loc[refused, ["prediction", "proba_0", "proba_1"]].isna().all(axis=None)
    expected = np.tile(cancer.pipeline.predict(cancer.X), 5)
    assert (answers["prediction"][~refused].to_numpy(dtype=int) == expected[~refused]).all()
    shares = np.tile(cancer.pipeline.predict_proba(cancer.X), (5, 1))
    found = answers.loc[~refused, ["proba_0", "proba_1"]].to_numpy(dtype=float)
    np.testing.assert_allclose(found, shares[~refused], atol=1e-3)


def test_spark_scores_all_rows_with_one_key(spark: Any, models: Path, table: Any, cancer: SimpleNamespace) -> None:
    with blindscore.LocalServer(models) as server:
        udf = predict_udf(server.url, "cancer", key="memory", keep=["id"], output=["prediction", "probabilities"])
        rows = spark.createDataFrame(table).repartition(4)
        scored = rows.mapInPandas(udf, udf.schema(rows))
        assert scored.schema.simpleString() == "struct<id:bigint,prediction:bigint,proba_0:double,proba_1:double,error:string>"
        expect_right(scored.orderBy("id").toPandas(), cancer)
        stored = [path for path in Path(server._data, "keys").rglob("*") if path.is_file() and len(path.name) >= 64]
        assert len(stored) == 1, stored


def test_answers_of_spark_are_null_and_not_nan(spark: Any, server: blindscore.LocalServer, table: Any) -> None:
    udf = predict_udf(server.url, "cancer", key="memory", keep=[], output=["prediction", "probabilities", "scores"])
    rows = spark.createDataFrame(table[:10])
    answers = rows.mapInPandas(udf, udf.schema(rows)).collect()
    refused = [answer for answer in answers if answer["error"] is not None]
    assert len(refused) == 2
    assert all(answer[name] is None for answer in refused for name in ("prediction", "proba_0", "proba_1", "score_1"))


def test_a_table_that_the_model_cannot_take_is_refused_on_the_driver(spark: Any, server: blindscore.LocalServer, table: Any) -> None:
    udf = predict_udf(server.url, "cancer", key="memory")
    rows = spark.createDataFrame(table[:3])
    with pytest.raises(blindscore.SettingError, match="mean radius"):
        udf.schema(rows.drop("mean radius"))
    with pytest.raises(blindscore.SettingError, match=r"'mean radius' is of type decimal\(10,2\), neither a number nor text: cast it to double"):
        udf.schema(rows.withColumn("mean radius", rows["mean radius"].cast("decimal(10,2)")))
    with pytest.raises(blindscore.SettingError, match="has a column 'error', and so do the answers"):
        udf.schema(rows.withColumnRenamed("id", "error"))
    with pytest.raises(blindscore.SettingError, match="no column 'other'"):
        predict_udf(server.url, "cancer", key="memory", keep=["other"]).schema(rows)


def test_dask_scores_all_rows(server: blindscore.LocalServer, table: Any, cancer: SimpleNamespace) -> None:
    udf = predict_udf(server.url, "cancer", key="memory", keep=["id"], output=["prediction", "probabilities"])
    rows = dask.dataframe.from_pandas(table, npartitions=4)
    scored = rows.map_partitions(udf, meta=udf.meta(rows))
    answers = scored.compute()
    assert answers.dtypes.to_dict() == scored.dtypes.to_dict()
    expect_right(answers, cancer)
    # Threads of a process share a client.
    assert len(module._clients) == 1


def test_a_frame_keeps_its_columns_and_its_index(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    udf = predict_udf(server.url, "cancer", key="memory")
    frame = cancer.X[["mean texture", *cancer.X.columns.drop("mean texture")]][10:13]
    answers = udf(frame)
    assert list(answers.columns) == [*frame.columns, "prediction", "error"]
    pd.testing.assert_frame_equal(answers[frame.columns], frame)
    assert answers["prediction"].tolist() == cancer.pipeline.predict(cancer.X[10:13]).tolist()
    assert list(udf(iter([frame, frame[:0]])))[1].columns.tolist() == answers.columns.tolist()


def test_columns_without_names_are_named_by_the_user(server: blindscore.LocalServer, ridge: SimpleNamespace) -> None:
    names = [f"feature {place}" for place in range(10)]
    frame = pd.DataFrame(ridge.X, columns=names).assign(id=range(len(ridge.X)))[["id", *reversed(names)]]
    udf = predict_udf(server.url, "ridge", key="memory", columns=names, keep=["id"], output="prediction")
    np.testing.assert_allclose(udf(frame)["prediction"].to_numpy(), ridge.pipeline.predict(ridge.X), atol=0.1)
    assert udf(frame.assign(**{"feature 3": np.nan})[:1])["error"][0].startswith("column 'feature 3': is empty")
    with pytest.raises(blindscore.SettingError, match="the table has 11 columns, and the model takes 10 without names"):
        predict_udf(server.url, "ridge", key="memory")(frame)
    with pytest.raises(blindscore.SettingError, match="9 names are given, the model takes 10 columns"):
        predict_udf(server.url, "ridge", key="memory", columns=names[1:])
    with pytest.raises(blindscore.SettingError, match="columns: 'feature 9' is not there"):
        udf(frame.drop(columns="feature 9"))


def test_every_refused_row_says_why(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    frame = pd.concat([cancer.X] * 2, ignore_index=True)
    frame.loc[::2, "mean area"] = np.nan
    frame.loc[1, "worst area"] = frame.loc[1, "mean area"] = np.inf
    errors = predict_udf(server.url, "cancer", key="memory", keep=[])(frame)["error"]
    assert errors[::2].str.startswith("column 'mean area': ").all()
    assert errors[1].count("column ") >= 1 and errors[3::2].isna().all()


def test_its_display_shows_no_secret(server: blindscore.LocalServer) -> None:
    udf = predict_udf(server.url, "cancer", key="memory")
    key = udf._settings.key
    udf._settings = udf._settings._replace(token="not-for-display")
    for shown in (repr(udf), str(udf._settings)):
        assert "not-for-display" not in shown and repr(key)[2:20] not in shown
    # It is meant to be pickled: that is how it gets to workers.
    assert pickle.loads(pickle.dumps(udf))._settings.key == key


@pytest.mark.parametrize("arguments", [{"output": "labels"}, {"output": ["scores", "scores"]}, {"keep": "id"}, {"columns": "x"}])
def test_arguments_that_cannot_be_used_are_refused(server: blindscore.LocalServer, arguments: dict[str, Any]) -> None:
    with pytest.raises(blindscore.SettingError):
        predict_udf(server.url, "cancer", key="memory", **arguments)
    with pytest.raises(blindscore.SettingError, match="gives no probabilities"):
        predict_udf(server.url, "ridge", key="memory", output="probabilities")
