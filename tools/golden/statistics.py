"""Writes tests/golden/nn/statistics.json: what PyTorch's update_bn makes of running statistics.

    python tools/golden/statistics.py       (needs torch)
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "nn" / "statistics.json"


def dumped(t):
    return {"shape": list(t.shape), "values": t.detach().flatten().tolist()}


def state(model):
    return {path: dumped(t) for path, t in model.state_dict().items()}


def case(name, model, shapes, dtype):
    model = model.to(dtype)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.dtype == dtype:
                tensor.copy_(torch.rand_like(tensor) * 1.4 + 0.3)
    before = state(model)
    batches = [torch.randn(shape, dtype=dtype) * (i + 1) + i for i, shape in enumerate(shapes)]
    update_bn(batches, model)
    name_of = {torch.float32: "f32", torch.float64: "f64"}
    return {
        "name": name,
        "dtype": name_of[dtype],
        "before": before,
        "batches": [dumped(batch) for batch in batches],
        "after": state(model),
    }


def main():
    torch.manual_seed(0)
    cases = []
    for dtype in (torch.float32, torch.float64):
        dense = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3), nn.BatchNorm1d(3))
        cases.append(case("dense", dense, [[6, 4], [6, 4], [3, 4]], dtype))
        images = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
        cases.append(case("images", images, [[2, 2, 5, 4], [4, 2, 5, 4]], dtype))
    OUT.write_text(json.dumps({"torch": torch.__version__, "cases": cases}) + "\n")


main()
