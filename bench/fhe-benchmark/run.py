"""Runs the stages of the FHE benchmark's workload ml-inference, and measures them.

    run.py [--size single small medium] [--model mnist-net] [--straighten yes no] [--runs 3]

Does what the benchmark's harness does, without PyTorch: takes test images of MNIST at random,
writes them as its text files, calls the stages one after the other, and compares the digits with
the labels. Each run has keys and images of its own. A time is that of a stage's whole process. The
server's own times are those that it reports: preparing model and key, scoring, files. The time of
the processor is that of all threads; it hardly depends on what else the machine does.

Sizes are those of the files, and those of the folders as `du -sb` and so the harness counts them.

Needs `cargo build --release -p blindscore-fhe-benchmark`, and MNIST's idx files, which
`cargo xtask mnist` fetches.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

#: Number that the harness calls a size by, and number of images.
SIZES = {"single": (0, 1), "small": (1, 100), "medium": (2, 1_000), "large": (3, 10_000)}
MODELS = ["mnist-linear", "mnist-net", "mnist-net-label", "mnist-net-small"]
#: Stages in the order of the harness.
STAGES = [
    "client_key_generation",
    "server_preprocess_model",
    "client_preprocess_input",
    "client_encode_encrypt_input",
    "server_encrypted_compute",
    "client_decrypt_decode",
    "client_postprocess",
]
FOLDERS = {"keys": "public_keys", "queries": "ciphertexts_upload", "responses": "ciphertexts_download"}
PIXELS = 28 * 28
#: Magic number, number of items and, for images, 28 x 28, as big-endian words.
IMAGES_HEAD = bytes([0, 0, 8, 3, 0, 0, 39, 16, 0, 0, 0, 28, 0, 0, 0, 28])
LABELS_HEAD = bytes([0, 0, 8, 1, 0, 0, 39, 16])
ROOT = Path(__file__).resolve().parents[2]


def idx(path: Path, head: bytes, item: int) -> list[bytes]:
    """Reads the 10,000 items of one of MNIST's files."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        sys.exit(f"there is no {path}: `cargo xtask mnist` fetches it, and --mnist names another folder")
    if not content.startswith(head) or len(content) != len(head) + 10_000 * item:
        sys.exit(f"{path} is not MNIST's file of 10,000 test items")
    items = content[len(head) :]
    return [items[at : at + item] for at in range(0, len(items), item)]


def write_input(folder: Path, mnist: Path, count: int, seed: int) -> list[str]:
    """Writes random images in the harness's format. Returns their labels."""
    images = idx(mnist / "t10k-images-idx3-ubyte", IMAGES_HEAD, PIXELS)
    labels = idx(mnist / "t10k-labels-idx1-ubyte", LABELS_HEAD, 1)
    chosen = random.Random(seed).sample(range(len(images)), count)
    folder.mkdir(parents=True)
    with (folder / "test_pixels.txt").open("w") as file:
        for index in chosen:
            file.write(" ".join(f"{pixel / 255:.6f}" for pixel in images[index]) + "\n")
    return [str(labels[index][0]) for index in chosen]


def processor_seconds() -> float:
    """Returns how long the processor has worked for all stages so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def stage(args: argparse.Namespace, root: Path, name: str, size: str, model: str, straighten: str) -> dict[str, float]:
    """Runs a stage, and returns the seconds that it takes, and those of the processor."""
    command = [args.program, name]
    command += ["--model", model] if name.startswith("server") else ["--descriptor", root / "model.json"]
    if name == "client_preprocess_input":
        command += ["--straighten", straighten]
    if name != "server_preprocess_model":
        command += ["--root", root, str(SIZES[size][0])]
    start, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{name} failed: {done.stderr.strip()}")
    return {"seconds": seconds, "processor": processor_seconds() - used}


def sizes(folder: Path) -> dict[str, int]:
    """Counts the bytes of a folder's files, and of the folder as `du -sb` counts it."""
    files = sum(file.stat().st_size for file in folder.iterdir())
    return {"files": files, "folder": files + folder.stat().st_size}


def run(args: argparse.Namespace, size: str, model: str, straighten: str, seed: int) -> dict[str, Any]:
    """Runs all stages once, with fresh keys and images."""
    with tempfile.TemporaryDirectory(prefix="fhe-benchmark-") as root:
        io = Path(root) / "io" / size
        labels = write_input(Path(root) / "datasets" / size / "intermediate", args.mnist, SIZES[size][1], seed)
        subprocess.run([args.program, "publish_model", "--model", model, Path(root) / "model.json"], check=True)
        before = os.getloadavg()[0]
        stages = {name: stage(args, Path(root), name, size, model, straighten) for name in STAGES}
        digits = (io / "encrypted_model_predictions.txt").read_text().splitlines()
        if len(digits) != len(labels):
            sys.exit(f"{len(digits)} digits for {len(labels)} images")
        return {
            "size": size,
            "model": model,
            "straighten": straighten,
            "seed": seed,
            "images": len(labels),
            "right": sum(digit == label for digit, label in zip(digits, labels, strict=True)),
            "stages": stages,
            "server": json.loads((io / "server_reported_steps.json").read_text()),
            "bytes": {what: sizes(io / folder) for what, folder in FOLDERS.items()},
            "load_before": before,
        }


def times(runs: list[dict[str, Any]], *path: str) -> str:
    """Shows the median of a time, and the range if it was measured several times."""
    values = []
    for one in runs:
        value: Any = one
        for key in path:
            value = value[key]
        values.append(value)
    median, least, most = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median} s" if len(values) == 1 else f"{median} s ({least} to {most})"


def table(runs: list[dict[str, Any]]) -> str:
    """Returns what the runs of one case took, as a table."""
    first = runs[0]
    rows = [(name, times(runs, "stages", name, "seconds")) for name in STAGES]
    rows.append(("server_encrypted_compute, processor", times(runs, "stages", "server_encrypted_compute", "processor")))
    rows += [(f"server: {name}", times(runs, "server", name)) for name in first["server"]]
    rows += [(f"{what}: files, folder", f"{counted['files']:,}, {counted['folder']:,} bytes") for what, counted in first["bytes"].items()]
    rows.append(("right", ", ".join(f"{one['right']} of {one['images']}" for one in runs)))
    title = f"{first['model']}, {first['size']}, straightened: {first['straighten']}, {len(runs)} runs"
    return "\n".join([title] + [f"  {name:36} {value}" for name, value in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/blindscore-fhe-benchmark")
    parser.add_argument("--mnist", type=Path, default=ROOT / "target/mnist", help="folder with the idx files")
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["single", "small", "medium"])
    parser.add_argument("--model", nargs="+", choices=MODELS, default=["mnist-net", "mnist-linear"])
    parser.add_argument("--straighten", nargs="+", choices=["yes", "no"], default=["yes", "no"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run's choice of images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all results")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs must be at least 1")
    if not args.program.is_file():
        parser.error(f"there is no {args.program}: `cargo build --release -p blindscore-fhe-benchmark` makes it")

    results = []
    for size, model, straighten in itertools.product(args.size, args.model, args.straighten):
        case = [run(args, size, model, straighten, args.seed + number) for number in range(args.runs)]
        print(table(case), flush=True)
        results += case
        if args.json:
            args.json.write_text(json.dumps({"cores": os.cpu_count(), "runs": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
