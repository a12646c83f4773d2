"""Scores with clients of the Open Inference Protocol: Triton's and KServe's.

    open_inference.py URL TOKEN MODEL KEY_ID FOLDER

Reads the query blobs FOLDER/0.query, FOLDER/1.query and so on, and writes what each client gets for
them, in each form, to FOLDER/CLIENT-FORM-0.response and so on. Ends with an error if a client reads
anything else in another way than it should.
"""

import asyncio
import base64
import sys
from pathlib import Path

import httpx
import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

URL, TOKEN, MODEL, KEY, FOLDER = sys.argv[1:]
FOLDER = Path(FOLDER)
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
QUERIES = [path.read_bytes() for path in sorted(FOLDER.glob("*.query"))]


def array(column, binary):
    """Returns the queries as Triton's and KServe's clients take them: blobs, or texts in base64."""
    elements = QUERIES if binary else [base64.b64encode(query).decode() for query in QUERIES]
    flat = np.array(elements, dtype=np.object_)
    return flat.reshape(-1, 1) if column else flat


def keep(name, output, column, binary):
    """Writes the response blobs, which have the form of the queries."""
    assert output.shape == array(column, binary).shape, (name, output.shape)
    for index, element in enumerate(output.flatten()):
        blob = element if binary else base64.b64decode(element, validate=True)
        (FOLDER / f"{name}-{index}.response").write_bytes(blob)


def expect(message, words):
    """Checks that a client's error repeats the server's words."""
    assert words in str(message), message


def with_triton():
    client = triton.InferenceServerClient(URL.removeprefix("http://"))
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready(MODEL, headers=AUTHORIZATION)
    assert not client.is_model_ready("nothing", headers=AUTHORIZATION)
    assert not client.is_model_ready(MODEL, "7", headers=AUTHORIZATION)
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata(MODEL, headers=AUTHORIZATION)
    tensor = {"datatype": "BYTES", "shape": [-1], "parameters": {"content_type": "base64"}}
    assert metadata["inputs"] == [{"name": "query", **tensor}], metadata
    assert metadata["outputs"] == [{"name": "response", **tensor}], metadata

    def infer(column=False, sent=True, received=True, default=False, **changes):
        data = array(column, sent)
        query = triton.InferInput("query", list(data.shape), "BYTES")
        query.set_data_from_numpy(data, binary_data=sent)
        outputs = None if default else [triton.InferRequestedOutput("response", binary_data=received)]
        request = {"headers": AUTHORIZATION.copy(), "parameters": {"key_id": KEY}, "outputs": outputs, **changes}
        return client.infer(request.pop("model", MODEL), [query], **request)

    for name, column, sent, received, default in [
        ("binary", False, True, True, True),
        ("column", True, True, True, False),
        ("json", False, False, False, False),
        ("mixed", True, False, True, False),
        ("text", False, True, False, False),
    ]:
        result = infer(column, sent, received, default, request_id=f"triton {name}")
        response = result.get_response()
        assert response["id"] == f"triton {name}" and response["model_name"] == MODEL, response
        keep(f"triton-{name}", result.as_numpy("response"), column, received)
    keep("triton-header", infer(headers={**AUTHORIZATION, "Blindscore-Key": KEY}, parameters=None).as_numpy("response"), False, True)

    for changes, status, words in [
        ({"model": "nothing"}, "404", "no model of this name is served"),
        ({"model_version": "7"}, "404", "the model has no such version"),
        ({"headers": {}}, "401", "a valid token is needed"),
        ({"parameters": {"key_id": "0" * 64}}, "422", "the request names"),
        ({"outputs": [triton.InferRequestedOutput("scores")]}, "400", "none named"),
        ({"outputs": [triton.InferRequestedOutput("response", class_count=3)]}, "400", "unknown field `classification`"),
        ({"sequence_id": 5}, "400", "unknown field `sequence_id`"),
        ({"timeout": 5}, "400", "unknown field `timeout`"),
        ({"request_compression_algorithm": "gzip"}, "415", "not compressed"),
    ]:
        try:
            infer(**changes)
        except triton.InferenceServerException as error:
            assert error.status() == status, error
            expect(error.message(), words)
        else:
            raise AssertionError(changes)


async def with_kserve():
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(URL) and await client.is_server_ready(URL)
        assert await client.is_model_ready(URL, MODEL, headers=AUTHORIZATION)
        assert not await client.is_model_ready(URL, "nothing", headers=AUTHORIZATION)

        async def infer(binary, received, key=KEY, model=MODEL):
            data = array(False, binary)
            query = InferInput("query", list(data.shape), "BYTES")
            query.set_data_from_numpy(data, binary_data=binary)
            parameters = {"key_id": key, "binary_data_output": received}
            request = InferRequest(model, [query], request_id="kserve", parameters=parameters)
            return await client.infer(URL, request, model_name=model, headers=AUTHORIZATION.copy())

        response = await infer(binary=False, received=False)
        assert response.id == "kserve" and response.model_name == MODEL
        keep("kserve-json", response.outputs[0].as_numpy(), False, False)
        response = await infer(binary=True, received=False)
        keep("kserve-binary", response.outputs[0].as_numpy(), False, False)
        for changes, status, words in [
            ({"model": "nothing"}, 404, "no model of this name is served"),
            ({"key": "x"}, 400, "key_id is not a key id"),
        ]:
            try:
                await infer(binary=True, received=False, **changes)
            except httpx.HTTPStatusError as error:
                assert error.response.status_code == status, error
                expect(error, words)
            else:
                raise AssertionError(changes)


assert len(QUERIES) > 1, "several queries show that their order is kept"
with_triton()
asyncio.run(with_kserve())
