#!/usr/bin/env python3
"""Tests three servers behind a proxy of `deploy/`, on one object store, all on this machine.

    python3 tests/fleet/fleet.py --proxy nginx
    python3 tests/fleet/fleet.py --proxy haproxy --minutes 10

Publishes a model, and counts how often a request finds its key prepared, with key affinity and
without. Then, under load, kills a replica, adds one, updates all of them in turn, publishes new
versions, retires the first one, and removes a key. Every answer is compared with the model's own
scores, and the replicas' shared counts with the number of answers.

Needs nginx and HAProxy, the package `blindscore` and moto (tests/fleet/requirements.txt says which,
and where from). Exits with 1 if a bar is missed.
"""

import argparse
import http.client
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import blindscore
import numpy as np
from load import Load, Record, Retries
from processes import FleetError, Server, Store, stop
from proxies import PROXIES
from users import ROOT, TOLERANCES, User, digits

sys.path.insert(0, str(ROOT / "deploy"))

import capacity  # noqa: E402

#: Seconds after which a replica asks the store whether a key is still there.
CHECK_SECONDS = 3
REPLICAS = 3
#: Memory of a prepared key of a network, in MiB.
KEY_MIB = 71
NETWORK, LINEAR = "mnist-net-small", "digits"
#: Seconds within which every replica serves a model that was published, and no longer one that was
#: retired (docs/operations.md): those after which it asks the store, and the time of loading.
MODEL_SECONDS = 7
#: Daily budget of queries to a model, so that they are counted: more than are sent and kills use.
BUDGET = 200_000
#: Seconds after which the counts of an idle replica are in the store (`--share-seconds`, and some).
SHARE_SECONDS = 6


@dataclass
class Work:
    """What the replicas did, and the processor time that it took."""

    answers: int
    preparations: int
    seconds: float


class Table:
    """Results, and the bars that they have to reach."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []
        self.missed = False

    def add(self, what: str, value: str, bar: str = "", reached: bool = True) -> None:
        """Adds a row, and prints it."""
        self.missed |= not reached
        self.rows.append((what, value, bar + ("" if reached else " MISSED")))
        print("  ".join(part for part in self.rows[-1] if part), flush=True)

    def markdown(self) -> str:
        """Returns the rows as a table."""
        lines = [f"| {what} | {value} | {bar} |" for what, value, bar in self.rows]
        return "\n".join(["| | measured | bar |", "|---|---|---|", *lines])


class Fleet:
    """Servers on one store, behind a proxy."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.folder, self.arguments = folder, arguments
        self.servers: list[Server] = []
        self.store: Store | None = None
        kind, source = PROXIES[arguments.proxy]
        self.proxy = kind(ROOT / "deploy" / source, folder / "proxy")
        self.url = f"http://127.0.0.1:{self.proxy.port}"

    def start(self) -> None:
        """Starts the store, the servers and the proxy."""
        self.store = Store(self.arguments.moto, self.folder / "moto.log")
        tokens = self.folder / "tokens.json"
        made = subprocess.run(
            [self.arguments.server, "token", "create", "fleet", "--operator", "--tokens", tokens],
            check=True,
            capture_output=True,
            text=True,
        )
        self.token = made.stdout.split()[-1]
        # Half a key more than the share of a replica, and two that may be in use beside the cache.
        cache = int(KEY_MIB * (self.arguments.keys + 2.5))
        self.flags = [*self.store.flags(), "--tokens", str(tokens), "--key-cache-mib", str(cache)]
        self.flags += ["--tenant-daily-queries", str(BUDGET)]
        self.flags += ["--key-check-seconds", str(CHECK_SECONDS), "--workers", "1", "--log", "warn"]
        for _ in range(REPLICAS):
            self.add_server()
        self.apply()

    def add_server(self) -> Server:
        """Starts another server, which the proxy doesn't know yet."""
        folder = self.folder / f"server-{len(self.servers)}"
        server = Server(self.arguments.server, folder, self.flags, self.token)
        self.servers.append(server)
        return server

    def take_away(self, server: Server) -> None:
        """Stops a server for good, and lets the proxy forget it."""
        self.servers.remove(server)
        self.apply()
        server.drain()
        server.folder.rename(server.folder.with_name(f"gone-{server.port}"))

    def apply(self, affinity: bool = True) -> None:
        """Tells the proxy which servers there are."""
        self.proxy.apply([server.port for server in self.servers], affinity)

    def stop(self) -> None:
        """Ends everything that still runs."""
        processes = [self.proxy.process, *(server.process for server in self.servers)]
        for process in [*processes, self.store and self.store.process]:
            if process:
                stop(process)

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Sends a request through the proxy, and returns the status and the mark of the replica."""
        return ask(self.proxy.port, self.token, method, path, body, **headers)

    def owner(self, key_id: str) -> str:
        """Returns the mark of the replica to which requests about a key go."""
        return self.request("HEAD", f"/v1/keys/{key_id}")[1]

    def publish(self, version: int) -> None:
        """Publishes a version of the linear model."""
        path = f"/v1/models/{LINEAR}@{version}"
        status, _ = self.request("PUT", path, digits())
        if status not in (200, 201):
            raise FleetError(f"{LINEAR}@{version} is published with {status}")

    def await_model(self, version: int, status: int) -> float:
        """Returns the seconds until all replicas answer requests for a version with this status."""
        started = time.monotonic()
        waiting = list(self.servers)
        while waiting:
            path = f"/v1/models/{LINEAR}@{version}"
            waiting = [s for s in waiting if ask(s.port, self.token, "GET", path, None)[0] != status]
            if time.monotonic() - started > 10 * MODEL_SECONDS:
                raise FleetError(f"a replica does not answer {path} with {status}")
            time.sleep(0.05)
        return time.monotonic() - started

    def processor_seconds(self) -> float:
        """Returns the time of processors that all replicas have taken."""
        return sum(server.processor_seconds() for server in self.servers)

    def queries(self, model: str) -> tuple[int, int]:
        """Returns the queries to a model that replicas may have scored, and those surely scored."""
        counts = self.store.counts() if self.store else []
        lines = [line for replica in counts for line in replica["queries"] if line["model"] == model]
        return sum(line["kept"] for line in lines), sum(line["used"] for line in lines)

    def total(self, name: str) -> float:
        """Returns the sum of a metric over all replicas."""
        return sum(server.metrics().get(name, 0.0) for server in self.servers)


def ask(port: int, token: str, method: str, path: str, body: bytes | None, **headers: str) -> tuple[int, str]:
    """Sends a request without any retry, and returns the status and the mark of the replica."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    octets = {"Content-Type": "application/octet-stream"} if body else {}
    connection.request(method, path, body, {"Authorization": f"Bearer {token}", **octets, **names})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, (response.headers["X-Request-Id"] or "").split("-")[0]


def enrol(fleet: Fleet, clients: dict[str, blindscore.Client], keys: int) -> list[User]:
    """Makes users of both models, with `keys` of the network on each replica."""
    rng = np.random.default_rng()
    users: list[User] = []
    owned = Counter({server.mark: 0 for server in fleet.servers})
    while min(owned.values()) < keys:
        user = User(clients[NETWORK], rng)
        owner = fleet.owner(user.id)
        if owned[owner] < keys:
            owned[owner] += 1
            users.append(user)
    users += [User(clients[LINEAR], rng) for _ in range(10 * keys)]
    for user in users:
        status, _ = fleet.request("PUT", f"/v1/keys/{user.id}", user.public_key)
        if status != 201:
            raise FleetError(f"an upload got {status}")
        user.encrypt()
    return users


def figures(fleet: Fleet, users: list[User]) -> capacity.Model:
    """Measures what an answer and a preparation take, as capacity.py counts them.

    On a server that the proxy doesn't know, since the cache remembers which keys are used often.
    """
    server = fleet.add_server()
    blobs = [(user.queries[0].blob, user.id) for user in users]

    def seconds(requests: list[tuple[bytes, str]]) -> float:
        before = server.processor_seconds()
        for blob, key_id in requests:
            path = f"/v1/models/{NETWORK}/score"
            status, _ = ask(server.port, fleet.token, "POST", path, blob, Blindscore_Key=key_id)
            if status != 200:
                raise FleetError(f"a score gets {status}")
        return (server.processor_seconds() - before) / len(requests)

    # More keys than fit the cache, so that each is prepared.
    both = seconds(blobs)
    answer = seconds([blobs[-1]] * 3 * len(blobs))
    fleet.take_away(server)
    return capacity.Model(NETWORK, 0, 0, both - answer, answer, 0)


def size(model: capacity.Model, work: Work, table: Table, how: str) -> None:
    """Compares the processor time of the replicas with capacity.py's formula."""
    expected = capacity.core_seconds(model, work.answers, work.preparations)
    ratio = work.seconds / expected
    text = f"{work.seconds:.1f} s, {ratio:.2f} of the formula's"
    what = f"processor time of {work.answers} answers and {work.preparations} preparations, {how}"
    table.add(what, text, "0.8 to 1.25", 0.8 <= ratio <= 1.25)


def measure_hits(fleet: Fleet, load: Load, requests: int, record: Record) -> tuple[float, Work]:
    """Returns the share of requests that find their key, and the work of the replicas."""
    users = load.by_model[NETWORK]
    loads = fleet.total("blindscore_key_load_seconds_count")
    started = fleet.processor_seconds()
    for user in users:
        fleet.request("POST", f"/v1/models/{NETWORK}/score", user.queries[0].blob, Blindscore_Key=user.id)
    names = [f'blindscore_key_cache_requests_total{{found="{found}"}}' for found in ("true", "false")]
    before = [fleet.total(name) for name in names]
    load.run(NETWORK, requests, 3, record)
    found, missed = (fleet.total(name) - count for name, count in zip(names, before, strict=True))
    seconds = fleet.processor_seconds() - started
    prepared = int(fleet.total("blindscore_key_load_seconds_count") - loads)
    return found / (found + missed), Work(requests + len(users), prepared, seconds)


def answered(record: Record, model: str) -> int:
    """Returns the number of answers that clients got from a model."""
    return len(record.seconds[model])


def affinity(fleet: Fleet, load: Load, table: Table, record: Record) -> None:
    """Compares the proxy with one that picks servers at random."""
    requests, users = fleet.arguments.requests, load.by_model[NETWORK]
    model = figures(fleet, users)
    time.sleep(SHARE_SECONDS)
    _, counted = fleet.queries(NETWORK)
    hits, work = measure_hits(fleet, load, requests, record)
    table.add("keys found, with affinity", f"{hits:.1%} of {requests}", ">= 95 %", hits >= 0.95)
    prepared = work.preparations / len(users)
    table.add("times a key is prepared, with affinity", f"{prepared:.2f}", "<= 1.05", prepared <= 1.05)
    size(model, work, table, "with affinity")
    fleet.apply(affinity=False)
    hits, work = measure_hits(fleet, load, requests, record)
    table.add("keys found, at random", f"{hits:.1%} of {requests}", "about a third", hits <= 0.6)
    table.add("times a key is prepared, at random", f"{work.preparations / len(users):.2f}")
    size(model, work, table, "at random")
    fleet.apply()
    time.sleep(SHARE_SECONDS)
    sent = 2 * (requests + len(users))
    used = fleet.queries(NETWORK)[1] - counted
    table.add("queries that all replicas counted, of those sent", f"{used} of {sent}", "all", used == sent)


def kill(fleet: Fleet, place: int, seconds: float) -> None:
    """Kills a replica, and starts it again."""
    time.sleep(seconds)
    fleet.servers[place].kill()
    time.sleep(seconds)
    fleet.servers[place].start()
    time.sleep(seconds)


def add(fleet: Fleet, table: Table, seconds: float) -> None:
    """Adds a replica, counts the keys that move, and takes it away again."""
    ids = [secrets.token_hex(32) for _ in range(fleet.arguments.ids)]
    before = [fleet.owner(key_id) for key_id in ids]
    largest = Counter(before).most_common(1)[0][1] / len(ids)
    added = fleet.add_server()
    fleet.apply()
    after = [fleet.owner(key_id) for key_id in ids]
    moved = [new for old, new in zip(before, after, strict=True) if new != old]
    share = len(moved) / len(ids)
    table.add("largest share of keys on one of three", f"{largest:.1%} of {len(ids)}")
    table.add("keys that move to a fourth replica", f"{share:.1%}", "<= 33.3 %", 0 < share <= 1 / 3)
    elsewhere = sum(mark != added.mark for mark in moved)
    table.add("keys that move between the others", str(elsewhere), "0", elsewhere == 0)
    time.sleep(seconds)
    fleet.take_away(added)


def update(fleet: Fleet, seconds: float) -> None:
    """Replaces the process of each replica in turn."""
    for server in fleet.servers:
        server.drain()
        server.start()
        time.sleep(seconds)


def disturb(fleet: Fleet, load: Load, table: Table, record: Record) -> None:
    """Adds, kills and updates under load, and checks that nothing is lost."""
    end = time.monotonic() + 60 * fleet.arguments.minutes
    kills = updates = 0
    seconds: list[float] = []
    with load.background(record):
        while kills == 0 or time.monotonic() < end:
            if kills == 0:
                add(fleet, table, fleet.arguments.pause)
            kill(fleet, kills % REPLICAS, fleet.arguments.pause)
            kills += 1
            update(fleet, fleet.arguments.pause)
            updates += REPLICAS
            fleet.publish(kills + 1)
            seconds.append(fleet.await_model(kills + 1, 200))
        status, _ = fleet.request("DELETE", f"/v1/models/{LINEAR}@1")
        if status != 204:
            raise FleetError(f"a version is retired with {status}")
        retired = fleet.await_model(1, 410)
    lost = sum(fleet.request("HEAD", f"/v1/keys/{key_id}")[0] != 200 for key_id in record.uploaded)
    table.add("replicas killed, and updated, under load", f"{kills}, {updates}")
    within = f"<= {MODEL_SECONDS} s"
    for what, slowest in (("published under load", max(seconds)), ("retired", retired)):
        text = f"{slowest:.1f} s ({len(seconds) if what.startswith('p') else 1})"
        table.add(f"time until all replicas know of a version {what}", text, within, slowest <= MODEL_SECONDS)
    table.add("acknowledged keys lost", f"{lost} of {len(record.uploaded)}", "0", lost == 0 and bool(record.uploaded))


def remove(fleet: Fleet, load: Load, table: Table) -> None:
    """Removes a key that every replica has prepared, and waits until none scores with it."""
    user = load.by_model[LINEAR][0]
    path = f"/v1/models/{LINEAR}/score"

    def score(port: int) -> int:
        return ask(port, fleet.token, "POST", path, user.queries[0].blob, Blindscore_Key=user.id)[0]

    ports = [server.port for server in fleet.servers]
    if [score(port) for port in ports] != [200] * REPLICAS:
        raise FleetError("a replica doesn't score with a key before its removal")
    status, _ = fleet.request("DELETE", f"/v1/keys/{user.id}")
    if status != 204:
        raise FleetError(f"a removal got {status}")
    removed = time.monotonic()
    through = score(fleet.proxy.port)
    table.add("a score through the proxy after a removal", str(through), "404 at once", through == 404)
    last = removed
    while time.monotonic() < removed + 2 * CHECK_SECONDS:
        for port in ports:
            asked = time.monotonic()
            if score(port) != 404:
                last = asked
        time.sleep(0.05)
    table.add(
        "last use of a removed key on any replica",
        f"{last - removed:.1f} s after its removal",
        f"<= {CHECK_SECONDS} s (--key-check-seconds)",
        last - removed <= CHECK_SECONDS,
    )


def count_all(fleet: Fleet, table: Table, before: dict[str, int], record: Record, retries: int) -> None:
    """Compares what living and killed replicas have counted under load with the answers.

    A replica that is killed leaves what it had counted some seconds before, and the most that it
    may have counted since. Queries that nobody got an answer to may be counted too.
    """
    time.sleep(SHARE_SECONDS)
    for model in (LINEAR, NETWORK):
        kept, used = fleet.queries(model)
        used, kept, answers = used - before[model], kept - before[model], answered(record, model)
        text = f"{used}, and {kept} reserved, of {answers}"
        right = 0.9 * answers <= used <= answers + retries + 10 and answers <= kept
        table.add(f"`{model}`: answers counted by all replicas, under load", text, ">= 90 %, all reserved", right)


def report(record: Record, retries: Retries, table: Table) -> None:
    """Adds what clients saw in all phases."""
    for what in (LINEAR, NETWORK, "upload"):
        count = answered(record, what)
        times = " / ".join(f"{record.percentile(what, share):.0f}" for share in (50, 99, 100))
        table.add(f"`{what}`: answers; p50 / p99 / longest", f"{count}; {times} ms", "some", count > 0)
    table.add("retries by clients", str(retries.count))
    table.add("requests without an answer, or with a wrong one", str(len(record.problems)), "0", not record.problems)
    for problem in record.problems[:20]:
        print("  " + problem)


def run(arguments: argparse.Namespace, folder: Path) -> Table:
    """Runs all phases."""
    fleet, table, retries = Fleet(arguments, folder), Table(), Retries()
    try:
        fleet.start()
        fleet.publish(1)
        fleet.await_model(1, 200)
        options = {"token": fleet.token, "key": "memory", "max_wait": 120}
        clients = {model: blindscore.Client(fleet.url, model=model, **options) for model in TOLERANCES}
        load = Load(clients, enrol(fleet, clients, arguments.keys))
        quiet, loaded = Record(), Record()
        affinity(fleet, load, table, quiet)
        before = {model: fleet.queries(model)[1] for model in TOLERANCES}
        disturb(fleet, load, table, loaded)
        count_all(fleet, table, before, loaded, retries.count)
        remove(fleet, load, table)
        loaded.problems += quiet.problems
        report(loaded, retries, table)
    finally:
        fleet.stop()
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", choices=PROXIES, required=True)
    parser.add_argument("--minutes", type=float, default=0, help="length of the load; one round of disturbances if 0")
    parser.add_argument("--server", type=Path, default=ROOT / "target/release/blindscore-server")
    parser.add_argument("--moto", type=Path, default=ROOT / "target/test-python/servers/bin/moto_server")
    arguments = parser.parse_args()
    long = arguments.minutes > 0
    arguments.keys, arguments.requests, arguments.ids = (6, 300, 3000) if long else (3, 80, 1500)
    arguments.pause = 5.0 if long else 2.0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="blindscore-fleet-") as folder:
        table = run(arguments, Path(folder))
    print(f"\n{arguments.proxy}, {time.monotonic() - started:.0f} s\n\n{table.markdown()}")
    return int(table.missed)


if __name__ == "__main__":
    sys.exit(main())
