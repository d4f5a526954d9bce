"""Writes tests/io/fixtures: files from the Python packages, and the values they hold.

    python tools/golden/io.py                 write the fixtures (needs torch, numpy, safetensors), then
                                              npx biome format --write tests/io/fixtures
    python tools/golden/io.py --check DIR     read DIR/*.safetensors and DIR/*.npy that dfdt wrote and
                                              compare each with the fixture of the same name

The tests need only the committed files. That dfdt's files can be read by Python was checked with --check, and stays
checked without Python: the tests write each fixture again and compare the bytes.
"""

import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.torch import load_file, save_file

OUT = Path(__file__).resolve().parents[2] / "tests" / "io" / "fixtures"

FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 3.0e38, 1e-40, math.inf, -math.inf, math.nan, 65504.0, 6e-8]

TENSORS = {
    "F64": torch.tensor(FLOATS + [1e300, 5e-324], dtype=torch.float64),
    "F32": torch.tensor(FLOATS, dtype=torch.float32),
    "F16": torch.tensor(FLOATS, dtype=torch.float16),
    "BF16": torch.tensor(FLOATS, dtype=torch.bfloat16),
    "I64": torch.tensor([0, 1, -1, 2**31 - 1, -(2**31)], dtype=torch.int64),
    "I32": torch.tensor([0, 1, -1, 2**31 - 1, -(2**31)], dtype=torch.int32),
    "I16": torch.tensor([[0, 1, -1], [32767, -32768, 5]], dtype=torch.int16),
    "I8": torch.tensor([0, 1, -1, 127, -128], dtype=torch.int8),
    "U64": torch.tensor([0, 1, 2**32 - 1], dtype=torch.uint64),
    "U32": torch.tensor([0, 1, 2**32 - 1], dtype=torch.uint32),
    "U16": torch.tensor([0, 1, 65535], dtype=torch.uint16),
    "U8": torch.tensor([0, 1, 255], dtype=torch.uint8),
    "BOOL": torch.tensor([True, False, True]),
    "wide.I64": torch.tensor([7, 2**31], dtype=torch.int64),
    "wide.U64": torch.tensor([2**63], dtype=torch.uint64),
}

NPY = {
    "f8": np.array(FLOATS + [1e300, 5e-324], "<f8"),
    "f4": np.array(FLOATS[:10], "<f4"),
    "f2": np.array([0.0, -0.0, 1.0, 0.1, np.inf, np.nan, 65504.0, 6e-8], "<f2"),
    "i8": np.array([0, -1, 2**31 - 1, -(2**31)], "<i8"),
    "i4": np.array([[0, -1], [2**31 - 1, -(2**31)]], "<i4"),
    "i2": np.array([32767, -32768], "<i2"),
    "i1": np.array([127, -128], "|i1"),
    "u8": np.array([0, 2**32 - 1], "<u8"),
    "u4": np.array([0, 2**32 - 1], "<u4"),
    "u2": np.array([0, 65535], "<u2"),
    "u1": np.arange(24, dtype="|u1").reshape(2, 3, 4),
    "b1": np.array([True, False]),
    "scalar": np.array(2.5, "<f4"),
    "empty": np.zeros((2, 0, 3), "<f4"),
    # Headers that just fit in 128 bytes and just do not, with the room NumPy leaves for the first axis to grow.
    "header-127": np.ones((1, 10) + (1,) * 12, "|u1"),
    "header-128": np.ones((1, 10, 10) + (1,) * 11, "|u1"),
    "big-endian-f4": np.array([1.0, -2.5, 3e38], ">f4"),
    "big-endian-i8": np.array([1, -2], ">i8"),
    "fortran": np.asfortranarray(np.arange(6, dtype="<f4").reshape(2, 3)),
    "complex": np.array([1 + 2j], "<c8"),
    "structured": np.array([(1, 2.0)], [("a", "<i4"), ("b", "<f4")]),
}


def spelled(value):
    """JSON has no infinities, NaN, negative zero or integers past 2^53: those go as text."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else str(value)
    if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
        return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN", "-0.0": "-0"}[str(value)]
    return value


def values(tensor):
    return [spelled(v) for v in tensor.reshape(-1).tolist()]


def write():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU(), torch.nn.Linear(3, 2)
    )
    model(torch.randn(5, 4))
    files = {
        "dtypes": (TENSORS, None),
        "scalars-and-empty": (
            {
                "scalar": torch.tensor(2.5),
                "count": torch.tensor(3, dtype=torch.int64),
                "empty": torch.zeros(0),
                "hollow": torch.zeros(2, 0, 3, dtype=torch.int32),
                "flag": torch.tensor(True),
            },
            None,
        ),
        "metadata": ({"é\n\"quoted\".\U0001f600": torch.ones(1), "\uffee": torch.zeros(1)}, {"note": 'a "quoted"\\ line\n\x01 ü'}),
        "no-tensors": ({}, None),
        "state-dict": ({k: v.contiguous() for k, v in model.state_dict().items()}, {"format": "pt"}),
    }
    expected = {
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "safetensors": safetensors.__version__},
        "safetensors": {},
        "npy": {},
    }
    for name, (tensors, metadata) in files.items():
        save_file(tensors, OUT / f"{name}.safetensors", metadata)
        expected["safetensors"][name] = {
            "metadata": metadata or {},
            "tensors": {k: {"shape": list(v.shape), "values": values(v)} for k, v in tensors.items()},
        }
    for name, array in NPY.items():
        np.save(OUT / f"{name}.npy", array)
        if name not in ("fortran", "complex", "structured"):
            expected["npy"][name] = {"shape": list(array.shape), "values": values(array)}
    with open(OUT / "version-2.npy", "wb") as file:
        np.lib.format.write_array(file, NPY["i4"], version=(2, 0))
    expected["npy"]["version-2"] = expected["npy"]["i4"]
    # How Python 2 wrote a header: long integers, no room for the first axis to grow.
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L), }"
    header += b" " * (-(10 + len(header) + 1) % 16) + b"\n"
    (OUT / "python-2.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<2f", 1, 2))
    expected["npy"]["python-2"] = {"shape": [2, 1], "values": [1.0, 2.0]}
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=True) + "\n")


def check(directory):
    checked = 0
    for path in sorted(Path(directory).iterdir()):
        golden = OUT / path.name
        if path.suffix == ".safetensors":
            ours, theirs = load_file(path), load_file(golden)
            assert ours.keys() == theirs.keys(), path
            for key in ours:
                assert ours[key].dtype == theirs[key].dtype and ours[key].shape == theirs[key].shape, (path, key)
                assert repr(values(ours[key])) == repr(values(theirs[key])), (path, key)
        elif path.suffix == ".npy":
            a, b = np.load(path), np.load(golden)
            assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") and a.shape == b.shape, path
            assert repr(values(a)) == repr(values(b)), path
        else:
            continue
        checked += 1
    print(f"{checked} files agree")
    assert checked > 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2])
    else:
        write()
