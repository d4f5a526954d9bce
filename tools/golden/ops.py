"""Writes tests/golden/ops: what PyTorch computes for every case of the op table tests/ops/cases.ts.

    python tools/golden/ops.py        (needs torch, safetensors and node)

Inputs are f32 values. PyTorch computes in f64, so the files hold the values that f32 results are rounded from and that
f64 results must agree with to the last digits. Per case: in.<i>, out, and for differentiable results dy (a random
cotangent of f32 values) and grad.<i>. The tests need only the committed files.
"""

import json
import math
import subprocess
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "ops"
DTYPES = {"float": torch.float64, "i32": torch.int32, "u32": torch.int64, "bool": torch.bool}
STORED = {"float": torch.float32, "i32": torch.int32, "u32": torch.uint32, "bool": torch.bool}


def evaluate(case):
    inputs = []
    stored = {}
    for i, spec in enumerate(case["inputs"]):
        values = [float(v) if spec["type"] == "float" else int(v) for v in spec["values"]]
        x = torch.tensor(values, dtype=DTYPES[spec["type"]]).reshape(spec["shape"])
        stored[f"in.{i}"] = x.detach().to(STORED[spec["type"]]).contiguous()
        if case["gradient"] and spec["gradient"]:
            x.requires_grad_()
        inputs.append(x)
    names = dict(zip("abcd", inputs))
    y = eval(case["torch"], {"torch": torch, "F": F, "math": math}, names)
    if y.dtype == torch.int64:
        unsigned = any(spec["type"] == "u32" for spec in case["inputs"])
        result = (y % 2**32).to(torch.uint32) if unsigned else y.to(torch.int32)
    else:
        result = y.detach().double() if y.dtype == torch.float32 else y.detach()
    stored["out"] = result.contiguous()
    if case["gradient"]:
        generator = torch.Generator().manual_seed(zlib.crc32(case["name"].encode()))
        dy = torch.randn(y.shape, generator=generator, dtype=torch.float32)
        stored["dy"] = dy
        wanted = [(i, x) for i, x in enumerate(inputs) if x.requires_grad]
        gradients = torch.autograd.grad(y, [x for _, x in wanted], dy.double())
        for (i, _), gradient in zip(wanted, gradients):
            stored[f"grad.{i}"] = gradient.contiguous()
    return stored


def main():
    listing = subprocess.run(["node", "tools/golden/export-cases.mjs"], cwd=ROOT, check=True, capture_output=True, text=True)
    families = {}
    for case in json.loads(listing.stdout):
        file = families.setdefault(case["family"], {})
        try:
            stored = evaluate(case)
        except Exception as error:
            raise SystemExit(f"{case['name']}: {case['torch']}: {error}")
        for name, value in stored.items():
            # clone: safetensors refuses tensors that share memory
            file[f"{case['name']}/{name}"] = value.clone()
    OUT.mkdir(parents=True, exist_ok=True)
    for family, tensors in families.items():
        # One entry only: the order of several is random, and the files would change without a reason.
        save_file(tensors, OUT / f"{family}.safetensors", {"torch": torch.__version__})
        print(family, len(tensors), "tensors")


main()
