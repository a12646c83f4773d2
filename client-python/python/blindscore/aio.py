"""A client for asyncio: :class:`blindscore.Client`, with its calls in threads.

>>> from blindscore.aio import AsyncClient  # doctest: +SKIP
>>> async with AsyncClient("https://scores.example", model="churn") as client:  # doctest: +SKIP
...     answers = await client.predict(X)
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from types import TracebackType
from typing import Any

import numpy as np

from ._blindscore import Model, SecretKey
from ._client import Client, OnError
from ._errors import SettingError

__all__ = ["AsyncClient"]


class AsyncClient:
    """Scores rows like :class:`blindscore.Client`, without stopping the event loop.

    The arguments are those of :class:`blindscore.Client`, and so are those of each method, its
    result and its exceptions. Encryption, requests and decryption run in a thread of
    :func:`asyncio.to_thread`, without the interpreter's lock.

    The first call connects, or ``async with``, or :meth:`connect`. Attributes such as
    :attr:`classes_` are there from then on. Leaving ``async with`` lets go of the client, and of a
    secret key in memory; :meth:`forget` also deletes the evaluation key on the server.

    **Cancellation**, or :func:`asyncio.timeout`, ends the ``await`` at once. The thread goes on
    until its call is done, at most ``max_wait`` seconds for each request, and drops the answer: its
    rows are sent all the same, and the end of the program waits for it. Where that matters, score
    large tables in pieces.

    Example:
        >>> async with AsyncClient(url, model="churn") as client:  # doctest: +SKIP
        ...     first, second = await asyncio.gather(client.predict(A), client.predict(B))
    """

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        *,
        token: str | None = None,
        model_id: str | None = None,
        key: SecretKey | bytes | str | os.PathLike[str] | None = None,
        ca_cert: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        max_wait: float | None = None,
        in_flight: int = 4,
        verbose: bool = False,
    ) -> None:
        self._make = partial(
            Client,
            url,
            model,
            token=token,
            model_id=model_id,
            key=key,
            ca_cert=ca_cert,
            timeout=timeout,
            max_wait=max_wait,
            in_flight=in_flight,
            verbose=verbose,
        )
        self._made: Client | None = None
        self._connecting = asyncio.Lock()

    def __repr__(self) -> str:
        return "<blindscore.aio.AsyncClient, not connected>" if self._made is None else f"<blindscore.aio.AsyncClient with {self._made!r}>"

    async def connect(self) -> AsyncClient:
        """Fetches the model's description, and reads or makes the secret key. Returns itself."""
        await self._connected()
        return self

    async def _connected(self) -> Client:
        async with self._connecting:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
            return self._made

    async def __aenter__(self) -> AsyncClient:
        return await self.connect()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._made = None

    async def predict(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Predicts, as :meth:`blindscore.Client.predict` does."""
        client = await self._connected()
        return await asyncio.to_thread(client.predict, X, on_error=on_error, progress=progress)

    async def predict_proba(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Returns probabilities, as :meth:`blindscore.Client.predict_proba` does."""
        client = await self._connected()
        return await asyncio.to_thread(client.predict_proba, X, on_error=on_error, progress=progress)

    async def decision_function(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Returns what decides, as :meth:`blindscore.Client.decision_function` does."""
        client = await self._connected()
        return await asyncio.to_thread(client.decision_function, X, on_error=on_error, progress=progress)

    async def scores(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Returns decrypted scores, as :meth:`blindscore.Client.scores` does."""
        client = await self._connected()
        return await asyncio.to_thread(client.scores, X, on_error=on_error, progress=progress)

    async def ensure_key(self) -> None:
        """Makes the evaluation key and uploads it, unless the server has it."""
        client = await self._connected()
        await asyncio.to_thread(client.ensure_key)

    async def forget(self) -> None:
        """Deletes the evaluation key on the server, and the file of the secret key."""
        client = await self._connected()
        await asyncio.to_thread(client.forget)

    async def score(self, query: bytes) -> bytes:
        """Sends one query, as :meth:`blindscore.Client.score` does, and returns the response."""
        client = await self._connected()
        return await asyncio.to_thread(client.score, query)

    async def upload(self, key: SecretKey) -> str:
        """Makes an evaluation key, uploads it, and returns its id."""
        client = await self._connected()
        return await asyncio.to_thread(client.upload, key)

    async def delete(self, key_id: str) -> bool:
        """Deletes an evaluation key on the server. Returns whether it was there."""
        client = await self._connected()
        return await asyncio.to_thread(client.delete, key_id)

    @property
    def _client(self) -> Client:
        if self._made is None:
            raise SettingError("this client is not connected yet: use `async with`, or `await client.connect()`")
        return self._made

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._client.url

    @property
    def model(self) -> Model:
        """The model, as the server describes it."""
        return self._client.model

    @property
    def model_id(self) -> str:
        """Id of the model with a fingerprint of all that you agree to."""
        return self._client.model_id

    @property
    def key_id(self) -> str | None:
        """Id of the evaluation key on the server; ``None`` before its upload."""
        return self._client.key_id

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """Classes ``(classes,)`` in the order of :meth:`predict_proba`."""
        return self._client.classes_

    @property
    def outputs_(self) -> np.ndarray[Any, Any]:
        """Names of the scores ``(outputs,)``."""
        return self._client.outputs_

    @property
    def n_features_in_(self) -> int:
        """Number of columns of a row."""
        return self._client.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray[Any, Any]:
        """Names of the columns ``(columns,)``, if they have names."""
        return self._client.feature_names_in_

    def secret_key(self) -> SecretKey:
        """Returns a copy of the secret key, as :meth:`blindscore.Client.secret_key` does."""
        return self._client.secret_key()
