"""Reads KServe's custom resources in a YAML file as KServe's own classes.

    serving_runtime.py FILE

Ends with an error if a field is unknown, missing, or of another type.
"""

import re
import sys

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


with open(sys.argv[1]) as file:
    documents = list(yaml.safe_load_all(file))
for document in documents:
    assert document["apiVersion"] == "serving.kserve.io/v1alpha1", document["apiVersion"]
    runtime = read(document, "V1alpha1" + document["kind"], document["kind"])
    assert runtime.spec.supported_model_formats[0].name == "blindscore"
    assert runtime.spec.protocol_versions == ["v2"]
    assert runtime.spec.containers[0].name == "kserve-container", "KServe looks for this name"
    print(*runtime.spec.containers[0].args, sep="\n")
