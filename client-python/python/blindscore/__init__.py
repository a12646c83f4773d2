"""Have a server score your data without showing it the data.

>>> import blindscore  # doctest: +SKIP
>>> client = blindscore.Client("https://scores.example", model="churn")  # doctest: +SKIP
>>> client.predict(X)  # doctest: +SKIP

The client makes a secret key, encrypts each row, and decrypts the answers; the server computes on
ciphertexts and never has the key. :func:`save` makes a model file from a fitted scikit-learn
pipeline, and :class:`LocalServer` runs a server on this machine.

Notes about retries and new keys go to the logger ``blindscore``.
"""

from ._blindscore import Answer, Model, SecretKey, __version__
from ._client import Client
from ._errors import (
    AccessError,
    BlindscoreError,
    BusyError,
    ConnectionError,
    ImportRefused,
    KeyFileError,
    KeyMismatchError,
    ModelChangedError,
    NoModelError,
    ResponseError,
    RowError,
    RowProblem,
    RowsMaskedWarning,
    ServerError,
    SettingError,
    UnusedColumnsWarning,
)
from ._save import Report, save
from ._server import LocalServer

__all__ = [
    "AccessError",
    "Answer",
    "BlindscoreError",
    "BusyError",
    "Client",
    "ConnectionError",
    "ImportRefused",
    "KeyFileError",
    "KeyMismatchError",
    "LocalServer",
    "Model",
    "ModelChangedError",
    "NoModelError",
    "Report",
    "ResponseError",
    "RowError",
    "RowProblem",
    "RowsMaskedWarning",
    "SecretKey",
    "ServerError",
    "SettingError",
    "UnusedColumnsWarning",
    "__version__",
    "save",
]
