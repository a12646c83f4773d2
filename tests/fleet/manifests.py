#!/usr/bin/env python3
"""Checks the manifests of `deploy/kubernetes` without a cluster, and other files of `deploy`.

    python3 tests/fleet/manifests.py

Renders each overlay with `kubectl kustomize`, validates every object against the schemas of the
three newest versions of Kubernetes that `kubernetes-validate` has, runs checkov on it, and lets the
server read the environment of its container. Also checks what has to agree between files, such as
the figures of `deploy/capacity.py` with docs/measurements.md, and reads the configuration of Envoy
with the types of its API. Exits with 1 if anything is wrong.
"""

import argparse
import importlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap

ROOT = Path(__file__).parents[2]
#: Checks of checkov that are left out, and why.
_LEFT_OUT = {
    "CKV_K8S_43": "the digest of an image is known when it is pulled, not here: docs/deployment.md says how to pin it",
    "CKV_K8S_15": "the tag is that of a release, which never changes, and a restart must not need the registry",
}
#: Modules of the messages that the configuration of Envoy packs.
_EXTENSIONS = ["filters.network.http_connection_manager", "filters.http.router", "retry.host.previous_hosts", "transport_sockets.tls"]
_UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
#: Schemes of object stores, which the server only checks when it opens one.
_STORES = {"az", "s3", "gs"}
#: What a server needs beside the cache and bodies, and while a model of 200 MB is published
#: (docs/operations.md).
_REST, _PUBLISHING = 200 * 10**6, 10**9
#: What of the tested backend's lines the annotations say in another form, or the controller itself.
_OTHERWISE = ("balance ", "option httpchk ", "default-server ", "server ")

Manifest = dict[str, Any]


def versions() -> list[str]:
    """Returns the three newest versions whose schemas are at hand."""
    folder = Path(kubernetes_validate.__file__).with_name("kubernetes-json-schema")
    names = {found[1] for path in folder.iterdir() if (found := re.match(r"v(\d+\.\d+\.\d+)-local-strict$", path.name))}
    return sorted(names, key=lambda name: [int(part) for part in name.split(".")])[-3:]


def render(overlay: Path, server: Path) -> list[Manifest] | str:
    """Returns the objects of an overlay, or what is wrong."""
    refused = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True)
    if refused.returncode == 0 or "tokens.json" not in refused.stderr:
        return f"without tokens.json, kustomize should name it: {refused.stderr}"
    subprocess.run([server, "token", "create", "test", "--tokens", overlay / "tokens.json"], check=True, capture_output=True)
    rendered = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True)
    if rendered.returncode != 0:
        return rendered.stderr
    overlay.with_suffix(".yaml").write_text(rendered.stdout)
    return list(yaml.safe_load_all(rendered.stdout))


def against_schemas(objects: list[Manifest]) -> Iterator[str]:
    """Yields what the schemas refuse."""
    for version in versions():
        for manifest in objects:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{version}, {manifest['kind']}: {error}"


def lint(file: Path) -> Iterator[str]:
    """Yields what checkov finds."""
    program = Path(sys.executable).with_name("checkov")
    options = ["--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--skip-check", ",".join(_LEFT_OUT)]
    found = subprocess.run([program, "--file", file, *options], capture_output=True, text=True)
    if found.returncode != 0:
        yield f"checkov: {found.stdout}{found.stderr}"


def only(objects: list[Manifest], kind: str) -> Manifest:
    """Returns the only object of a kind."""
    (found,) = (manifest for manifest in objects if manifest["kind"] == kind)
    return found


def bytes_of(quantity: str) -> int:
    """Returns an amount of memory."""
    return int(quantity[:-2]) * _UNITS[quantity[-2:]]


def server_accepts(objects: list[Manifest], server: Path) -> Iterator[str]:
    """Yields what the server says about the environment of its container."""
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    store = only(objects, "ConfigMap")
    if container["envFrom"][0]["configMapRef"]["name"] != store["metadata"]["name"]:
        yield "the container doesn't read the generated ConfigMap"
    environment = {entry["name"]: entry["value"] for entry in container["env"]} | store["data"]
    known = {name: value for name, value in os.environ.items() if not name.startswith("BLINDSCORE_")}
    shown = subprocess.run([server, *container["args"], "--print-config"], env=known | environment, capture_output=True, text=True)
    if shown.returncode != 0:
        yield f"the server refuses its environment: {shown.stderr}"
        return
    if environment["BLINDSCORE_STORE"].split("://")[0] not in _STORES:
        yield f"the server knows no store {environment['BLINDSCORE_STORE']}"
    cache, bodies = (int(environment[f"BLINDSCORE_{name}_MIB"]) << 20 for name in ("KEY_CACHE", "UPLOAD"))
    if cache + bodies + _REST + _PUBLISHING > bytes_of(container["resources"]["limits"]["memory"]):
        yield "the limit of memory is below what the server may take"
    if environment["BLINDSCORE_WORKERS"] != container["resources"]["requests"]["cpu"]:
        yield "the scoring threads are not the processors asked for"
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    if pod["terminationGracePeriodSeconds"] < pause + int(environment["BLINDSCORE_SHUTDOWN_SECONDS"]) + 5:
        yield "the pod is killed before it has drained"
    if pod["enableServiceLinks"]:
        yield "variables of services would be refused by the server"


def agree(objects: list[Manifest]) -> Iterator[str]:
    """Yields what differs between files that have to say the same."""
    proxy = (ROOT / "deploy/haproxy.cfg").read_text()
    tested = {line.strip() for line in proxy.splitlines() if not line.strip().startswith("#")}
    annotations = only(objects, "Service")["metadata"]["annotations"]
    lines = [f"balance {annotations['haproxy.org/load-balance']}", f"option httpchk {annotations['haproxy.org/check-http']}"]
    snippet = annotations["haproxy.org/backend-config-snippet"].splitlines()
    for line in [*lines, *(line for line in snippet if not line.startswith("default-server "))]:
        if line not in tested:
            yield f"the Service's annotations have {line!r}, which the tested deploy/haproxy.cfg lacks"
    backend = [line.strip() for line in proxy.split("\nbackend ")[1].splitlines()[1:]]
    for line in backend:
        if line and not line.startswith(("#", *_OTHERWISE)) and line not in snippet:
            yield f"deploy/haproxy.cfg has {line!r}, which the Service's annotations lack"
    weights = [re.findall(r"^default-server .*(weight \d+)", text, re.MULTILINE) for text in ("\n".join(backend), "\n".join(snippet))]
    if weights[0] != weights[1] or len(weights[0]) != 1:
        yield f"servers have other weights in deploy/haproxy.cfg than by the Service's annotations: {weights}"
    (metric,) = (entry["pods"]["metric"]["name"] for entry in only(objects, "HorizontalPodAutoscaler")["spec"]["metrics"] if "pods" in entry)
    if f'"{metric}"' not in (ROOT / "server/src/telemetry.rs").read_text():
        yield f"the server has no metric {metric}"
    if metric not in (ROOT / "deploy/monitoring/adapter.yaml").read_text():
        yield f"the adapter doesn't serve {metric}"
    image = dict(line.split(" ", 1) for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith(("USER ", "VOLUME ", "EXPOSE ")))
    pod = only(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    release = (ROOT / ".github/workflows/release.yml").read_text()
    (name,) = re.findall(r"IMAGE: (\S+)", release.replace("${{ github.repository_owner }}", "blindscore"))
    if container["image"].rpartition(":")[0] != name:
        yield f"a release pushes {name}, and the pod runs {container['image']}"
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    if image["USER"] != user or pod["securityContext"]["fsGroup"] != pod["securityContext"]["runAsGroup"]:
        yield f"the image runs as {image['USER']}, the pod as {user}"
    if image["VOLUME"] not in {mount["mountPath"] for mount in container["volumeMounts"]}:
        yield f"the pod has no volume at {image['VOLUME']}, the image's data directory"
    if image["EXPOSE"] not in {str(port["containerPort"]) for port in container["ports"]}:
        yield f"the pod doesn't have the image's port {image['EXPOSE']}"


def envoy() -> Iterator[str]:
    """Yields what Envoy's API doesn't know: a field, a value."""
    for name in _EXTENSIONS:
        importlib.import_module(f"envoy_data_plane.envoy.extensions.{name}.v3")
    try:
        Bootstrap.from_dict(yaml.safe_load((ROOT / "deploy/envoy.yaml").read_text()))
    except (KeyError, TypeError, ValueError) as error:
        yield f"envoy.yaml: {error}"


def cells(page: str, place: str, title: str) -> list[str]:
    """Returns the cells of the first row with a title behind a line of a page; none without it."""
    _, _, behind = page.partition(f"\n{place}\n")
    rows = (line.strip("| ").split(" | ") for line in behind.splitlines())
    return next((row[1:] for row in rows if row[0] == title), [])


def capacity() -> Iterator[str]:
    """Yields the figures of `deploy/capacity.py` that docs/measurements.md doesn't have."""
    page = (ROOT / "docs/measurements.md").read_text()
    net, linear = runpy.run_path(str(ROOT / "deploy/capacity.py"))["MODELS"]
    figures = [
        ("## Capacity of one core", "one score, all of one core", 2, f"{net.score_seconds:g} s"),
        ("## Capacity of one core", "preparing a key that isn't in the cache", 1, f"{net.prepare_seconds:g} s"),
        ("## Capacity of one core", "preparing a key that isn't in the cache", 0, f"< {1000 * linear.prepare_seconds:g} ms"),
        ("## A server under load", "`mnist-linear`, 64 connections, 60 s", 0, f"{2 / linear.score_seconds:,.0f}/s"),
    ]
    for model, place in ((net, "`mnist-net`, on straightened images:"), (linear, "`mnist-linear`, on images as they are, three runs each:")):
        figures += [(place, "evaluation key, bytes", 0, f"{model.key_bytes:,}"), (place, "responses, bytes", 0, f"{model.response_bytes:,}")]
    for place, title, column, figure in figures:
        found = cells(page, place, title)[column:][:1]
        if not found or not found[0].startswith(figure):
            yield f"capacity.py has {figure} for {title!r}, and docs/measurements.md {found}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, default=ROOT / "target/release/blindscore-server")
    server = parser.parse_args().server.resolve()
    problems = [*envoy(), *capacity()]
    with tempfile.TemporaryDirectory(prefix="blindscore-manifests-") as folder:
        copy = Path(folder) / "kubernetes"
        shutil.copytree(ROOT / "deploy/kubernetes", copy, ignore=shutil.ignore_patterns("tokens.json"))
        overlays = sorted(path for path in (copy / "overlays").iterdir() if path.is_dir())
        for overlay in overlays:
            objects = render(overlay, server)
            if isinstance(objects, str):
                found = [objects]
            else:
                checks = [against_schemas(objects), lint(overlay.with_suffix(".yaml"))]
                checks += [server_accepts(objects, server), agree(objects)]
                found = [problem for check in checks for problem in check]
            problems += [f"{overlay.name}: {problem}" for problem in found]
            print(f"{overlay.name}: {len(objects)} objects, Kubernetes {', '.join(versions())}, {len(found)} problems")
    for problem in problems:
        print(problem)
    return int(bool(problems) or not overlays)


if __name__ == "__main__":
    sys.exit(main())
