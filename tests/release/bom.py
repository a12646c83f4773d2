"""Checks bills of materials against CycloneDX's schema: bom.py FILE..."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    if not sys.argv[1:]:
        raise SystemExit("no file was given")
    for name in sys.argv[1:]:
        error = validator.validate_str(Path(name).read_text(encoding="utf-8"))
        if error is not None:
            raise SystemExit(f"{name}: {error}")


if __name__ == "__main__":
    main()
