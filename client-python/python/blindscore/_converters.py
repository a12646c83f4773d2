"""Converters for transformers of scikit-learn that skl2onnx has none for.

They write one node of the domain `blindscore` each, which only the import reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._errors import ImportRefused

#: Domain of the nodes.
DOMAIN = "blindscore"


def register() -> None:
    """Registers the converters with skl2onnx, once."""
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.preprocessing import SplineTransformer

    for kind, shape, convert in [
        (SplineTransformer, _spline_shape, _spline),
        (HashingVectorizer, _hashing_shape, _hashing),
    ]:
        # A converter of skl2onnx's own, once it has one, is left alone.
        if kind not in sklearn_operator_name_map:
            update_registered_converter(kind, f"Blindscore{kind.__name__}", shape, convert)


def _spline_shape(operator: Any) -> None:
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    double = any(isinstance(variable.type, DoubleTensorType) for variable in operator.inputs)
    kind = DoubleTensorType if double else FloatTensorType
    operator.outputs[0].type = kind([None, operator.raw_operator.n_features_out_])


def _spline(scope: Any, operator: Any, container: Any) -> None:
    from onnx.helper import make_tensor

    model = operator.raw_operator
    knots = np.array([spline.t for spline in model.bsplines_], dtype=np.float64)
    inputs = list(operator.inputs)
    types = {type(variable.type).__name__ for variable in inputs}
    if not types <= {"FloatTensorType", "DoubleTensorType", "Int64TensorType"}:
        # Flags are tried as whole numbers next.
        raise TypeError(f"SplineTransformer of {', '.join(sorted(types))}: give it numbers")
    container.add_node(
        "SplineTransformer",
        [variable.full_name for variable in inputs],
        [operator.outputs[0].full_name],
        op_domain=DOMAIN,
        op_version=1,
        name=scope.get_unique_operator_name("SplineTransformer"),
        degree=int(model.degree),
        extrapolation=str(model.extrapolation),
        handle_missing=str(getattr(model, "handle_missing", "error")),
        include_bias=int(bool(model.include_bias)),
        # 11 is ONNX's code for double precision.
        knots=make_tensor("knots", 11, knots.shape, knots.ravel().tolist()),
    )


def _hashing_shape(operator: Any) -> None:
    from skl2onnx.common.data_types import FloatTensorType

    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.n_features])


#: Parameters of HashingVectorizer that change its words, with the only value that is served.
_HASHING = {
    "input": "content",
    "encoding": "utf-8",
    "strip_accents": None,
    "preprocessor": None,
    "tokenizer": None,
}


def _hashing(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    for name, value in _HASHING.items():
        if getattr(model, name) != value:
            raise ImportRefused(f"HashingVectorizer({name}={getattr(model, name)!r}) is not served: leave {name} as it is")
    if model.analyzer not in ("word", "char"):
        raise ImportRefused(f'HashingVectorizer(analyzer={model.analyzer!r}) is not served: "word" and "char" are')
    if model.norm not in (None, "l1", "l2"):
        raise ImportRefused(f"HashingVectorizer(norm={model.norm!r}) is not served")
    counts = operator.outputs[0].full_name if model.norm is None else scope.get_unique_variable_name("counts")
    # Characters have no words to leave out.
    stop = sorted(model.get_stop_words() or []) if model.analyzer == "word" else []
    container.add_node(
        "HashingVectorizer",
        [operator.inputs[0].full_name],
        [counts],
        op_domain=DOMAIN,
        op_version=1,
        name=scope.get_unique_operator_name("HashingVectorizer"),
        alternate_sign=int(bool(model.alternate_sign)),
        analyzer=str(model.analyzer),
        binary=int(bool(model.binary)),
        lowercase=int(bool(model.lowercase)),
        n_features=int(model.n_features),
        ngram_range=[int(count) for count in model.ngram_range],
        token_pattern=str(model.token_pattern),
        **({"stop_words": stop} if stop else {}),
    )
    if model.norm is not None:
        container.add_node(
            "Normalizer",
            [counts],
            [operator.outputs[0].full_name],
            op_domain="ai.onnx.ml",
            op_version=1,
            name=scope.get_unique_operator_name("Normalizer"),
            norm=model.norm.upper(),
        )
