"""The client for asyncio."""

import asyncio
import inspect
import time
from types import SimpleNamespace

import pytest

import blindscore
from blindscore.aio import AsyncClient


def test_has_all_of_the_client() -> None:
    public = {name for name in dir(blindscore.Client) if not name.startswith("_")}
    assert public <= set(dir(AsyncClient))
    names = [name for name in public if inspect.isfunction(getattr(blindscore.Client, name))]
    for name in names:
        assert str(inspect.signature(getattr(AsyncClient, name))) == str(inspect.signature(getattr(blindscore.Client, name))), name


def test_answers_are_the_pipelines(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, model="cancer", key="memory") as client:
            assert client.classes_.tolist() == [0, 1] and client.n_features_in_ == 30
            assert "cancer" in repr(client)
            parts = await asyncio.gather(*(client.predict(cancer.X[start : start + 100]) for start in range(0, 569, 100)))
            assert [answer for part in parts for answer in part] == cancer.pipeline.predict(cancer.X).tolist()
            probabilities = await client.predict_proba(cancer.X)
            assert abs(probabilities.to_numpy() - cancer.pipeline.predict_proba(cancer.X)).max() < 1e-3
            assert (await client.decision_function(cancer.X[:3])).shape == (await client.scores(cancer.X[:3])).shape == (3,)
            await client.forget()

    asyncio.run(run())


def test_each_step(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    async def run() -> None:
        client = await AsyncClient(server.url, model="cancer", key="memory").connect()
        key = blindscore.SecretKey.generate(client.model)
        key_id = await client.upload(key)
        query = key.encrypt(cancer.X.iloc[0])
        answer = key.decrypt(await client.score(query))
        assert answer.label == str(cancer.pipeline.predict(cancer.X[:1])[0])
        assert await client.delete(key_id) and not await client.delete(key_id)

    asyncio.run(run())


def test_the_first_call_connects_once(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    async def run() -> None:
        client = AsyncClient(server.url, model="cancer", key="memory")
        with pytest.raises(blindscore.SettingError, match="not connected yet"):
            client.classes_  # noqa: B018 - the property raises.
        assert "not connected" in repr(client)
        await asyncio.gather(*(client.predict(cancer.X[:2]) for _ in range(5)))
        key_id = client.key_id
        await client.predict(cancer.X[:2])
        assert client.key_id == key_id is not None

    asyncio.run(run())


def test_the_loop_goes_on_while_rows_are_scored(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, model="cancer", key="memory") as client:
            call = asyncio.create_task(client.predict(cancer.X))
            turns = 0
            while not call.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert turns > 5 and (await call).tolist() == cancer.pipeline.predict(cancer.X).tolist()

    asyncio.run(run())


def test_a_timeout_ends_the_wait_at_once(server: blindscore.LocalServer) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, model="cancer", key="memory") as client:
            # Nobody listens there.
            away = AsyncClient("http://127.0.0.1:1", model="cancer", key="memory", max_wait=2)
            start = time.perf_counter()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(away.predict([]), 0.1)
            assert time.perf_counter() - start < 1
            # Other calls go on.
            await client.ensure_key()
            assert client.key_id is not None

    asyncio.run(run())


def test_errors_are_the_clients(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    async def run() -> None:
        with pytest.raises(blindscore.NoModelError):
            async with AsyncClient(server.url, model="nothing", key="memory"):
                pass
        async with AsyncClient(server.url, model="cancer", key="memory") as client:
            with pytest.raises(blindscore.RowError, match="row 1, column 'mean radius'"):
                await client.predict(cancer.X[:3].assign(**{"mean radius": [10.0, None, 10.0]}))

    asyncio.run(run())
