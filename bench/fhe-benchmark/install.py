"""Puts the stages into a checkout of the FHE benchmark's repository ml-inference.

    install.py CHECKOUT [--model mnist-net] [--straighten yes|no] [--name blindscore]

Writes a script for each stage, with the name that the harness calls, the program and the model's
descriptor into the submission's folder `build`, and README.md beside it. The submission's folder is
`submissions/mnist/NAME`, or `submission` in checkouts that have no `submissions`. Replaces
`scripts/get_openfhe.sh` and `scripts/build_task.sh`, which the harness runs first: nothing is left
to build. The folder `harness` stays as it is.

Needs `cargo build --release -p blindscore-fhe-benchmark`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from run import MODELS, ROOT, STAGES

PROGRAM = "blindscore-fhe-benchmark"
BUILT = """#!/bin/sh
# The submission has been built: cargo build --release -p blindscore-fhe-benchmark
exit 0
"""


def script(stage: str, model: str, straighten: str | None) -> str:
    """Returns the script of a stage. The harness adds the size."""
    options = f"--model {model}" if stage.startswith("server") else '--descriptor "$here/model.json"'
    if stage == "client_preprocess_input" and straighten:
        options += f" --straighten {straighten}"
    return f'#!/bin/sh\nhere=$(dirname "$0")\nexec "$here/{PROGRAM}" {stage} {options} "$@"\n'


def write_program(path: Path, content: str) -> None:
    """Writes a file that can be run."""
    path.write_text(content)
    path.chmod(0o755)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--model", choices=MODELS, default="mnist-net")
    parser.add_argument("--straighten", choices=["yes", "no"], help="default: if the model was trained on such images")
    parser.add_argument("--name", default="blindscore", help="name of the submission, the harness's --model")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release" / PROGRAM)
    args = parser.parse_args()
    if not args.program.is_file():
        parser.error(f"there is no {args.program}: `cargo build --release -p {PROGRAM}` makes it")
    if not (args.checkout / "harness/run_submission.py").is_file():
        parser.error(f"{args.checkout} is not a checkout of ml-inference: it has no harness/run_submission.py")

    named = args.checkout / "submissions"
    submission = named / "mnist" / args.name if named.is_dir() else args.checkout / "submission"
    build = submission / "build"
    build.mkdir(parents=True, exist_ok=True)
    shutil.copy2(args.program, build / PROGRAM)
    if subprocess.run([build / PROGRAM, "publish_model", "--model", args.model, build / "model.json"]).returncode != 0:
        sys.exit(1)
    for stage in STAGES:
        write_program(build / stage, script(stage, args.model, args.straighten))
    shutil.copy2(Path(__file__).with_name("README.md"), submission / "README.md")
    for name in ["get_openfhe.sh", "build_task.sh"]:
        write_program(args.checkout / "scripts" / name, BUILT)
    print(f"{args.model} is in {submission}")


if __name__ == "__main__":
    main()
