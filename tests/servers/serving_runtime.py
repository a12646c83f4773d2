"""Reads a serving runtime and an inference service from YAML files as KServe's own classes.

    serving_runtime.py RUNTIME SERVICE

Prints the arguments of the runtime's container. Ends with an error if a field is unknown, missing,
or of another type, or if the service doesn't get the runtime.
"""

import re
import sys
from pathlib import Path

import kserve
import kubernetes.client
import yaml

BASIC = {"str": str, "int": int, "bool": bool, "object": object, "float": (int, float)}


def read(value, kind, place):
    """Checks `value` against `kind`, the name of a class or of a type as the classes write it."""
    if found := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        assert isinstance(value, list), f"{place} is no list"
        return [read(element, found[1], f"{place}[{index}]") for index, element in enumerate(value)]
    if found := re.fullmatch(r"[Dd]ict[\[(]str, (.*)[\])]", kind):
        assert isinstance(value, dict), f"{place} is no mapping"
        return {key: read(element, found[1], f"{place}.{key}") for key, element in value.items()}
    if kind in BASIC:
        assert isinstance(value, BASIC[kind]), f"{place} is no {kind}: {value!r}"
        return value
    model = getattr(kserve, kind, None) or getattr(kubernetes.client, kind)
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    unknown = value.keys() - names
    assert not unknown, f"{place} has no {unknown}"
    fields = {names[key]: read(element, model.openapi_types[names[key]], f"{place}.{key}") for key, element in value.items()}
    # The classes check what is required.
    return model(**fields)


def resource(document):
    """Returns a resource as an object of its class."""
    group, version = document["apiVersion"].split("/")
    assert group == "serving.kserve.io", group
    return read(document, version.capitalize() + document["kind"], document["kind"])


runtime, service = (resource(yaml.safe_load(Path(file).read_text())) for file in sys.argv[1:])
served = runtime.spec.supported_model_formats[0]
assert served.name == "blindscore" and served.auto_select
assert runtime.spec.protocol_versions == ["v2"]
assert runtime.spec.containers[0].name == "kserve-container", "KServe looks for this name"
wanted = service.spec.predictor.model
assert wanted.model_format.name == served.name and wanted.protocol_version == "v2"
print(*runtime.spec.containers[0].args, sep="\n")
