"""Load on a fleet: threads that score with the package's own client, and its retries."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import blindscore
import numpy as np
from users import User

#: Pause of a thread between two requests, in seconds.
_PAUSE = 0.01


class Retries(logging.Handler):
    """Counts the retries that clients report."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        logger = logging.getLogger("blindscore")
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "trying again" in record.getMessage()


class Record:
    """What clients saw."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, list[float]] = defaultdict(list)
        #: Ids of keys whose upload was acknowledged.
        self.uploaded: list[str] = []
        self.problems: list[str] = []

    def problem(self, text: str) -> None:
        with self._lock:
            self.problems.append(text)

    def answered(self, what: str, seconds: float) -> None:
        with self._lock:
            self.seconds[what].append(seconds)

    def percentile(self, what: str, share: float) -> float:
        """Returns a percentile of the times in milliseconds, with all retries."""
        return 1000 * float(np.percentile(self.seconds[what], share)) if self.seconds[what] else float("nan")


def score(client: blindscore.Client, user: User, place: int, record: Record) -> None:
    """Scores one of a user's queries and checks the scores."""
    query = user.queries[place % len(user.queries)]
    started = time.monotonic()
    try:
        response = client.score(query.blob)
    except (blindscore.BlindscoreError, ConnectionError) as error:
        record.problem(f"{user.model}: no answer: {error}")
        return
    record.answered(user.model, time.monotonic() - started)
    try:
        if not user.is_right(query, response):
            record.problem(f"{user.model}: scores differ by {user.error(query, response)}")
    except blindscore.BlindscoreError as error:
        record.problem(f"{user.model}: no readable answer: {error}")


class Load:
    """Clients of a fleet, one for each model."""

    def __init__(self, clients: dict[str, blindscore.Client], users: list[User]) -> None:
        self.clients = clients
        self.by_model = {model: [user for user in users if user.model == model] for model in clients}

    def run(self, model: str, count: int, threads: int, record: Record) -> None:
        """Scores `count` queries of users in a random order."""
        places = iter(range(count))
        lock = threading.Lock()

        def work(seed: int) -> None:
            rng = np.random.default_rng(seed)
            while True:
                with lock:
                    place = next(places, None)
                if place is None:
                    return
                score(self.clients[model], self._any(model, rng), place, record)

        self._together([lambda seed=seed: work(seed) for seed in range(threads)])

    @contextmanager
    def background(self, record: Record) -> Iterator[None]:
        """Scores with both models and uploads keys until the block ends."""
        done = threading.Event()

        def work(model: str, seed: int) -> None:
            rng = np.random.default_rng(seed)
            while not done.wait(_PAUSE):
                score(self.clients[model], self._any(model, rng), int(rng.integers(1 << 30)), record)

        def upload() -> None:
            client = self.clients["digits"]
            while not done.wait(5 * _PAUSE):
                user = User(client, np.random.default_rng(1))
                started = time.monotonic()
                try:
                    user.id = client.upload(user.key)
                except (blindscore.BlindscoreError, ConnectionError) as error:
                    record.problem(f"an upload got no answer: {error}")
                    continue
                record.answered("upload", time.monotonic() - started)
                record.uploaded.append(user.id)
                # A key that was acknowledged must score at once, whichever replica is asked.
                user.encrypt()
                score(client, user, 0, record)

        tasks = [upload, lambda: work("digits", 1), lambda: work("digits", 2)]
        tasks += [lambda: work("mnist-net-small", 3), lambda: work("mnist-net-small", 4)]
        threads = [threading.Thread(target=task) for task in tasks]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def _any(self, model: str, rng: np.random.Generator) -> User:
        users = self.by_model[model]
        return users[rng.integers(len(users))]

    @staticmethod
    def _together(tasks: list[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=task) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
