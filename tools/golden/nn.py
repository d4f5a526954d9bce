"""Writes tests/golden/nn/layers.json: what PyTorch's layers give forward and backward, and what they keep.

    python tools/golden/nn.py       (needs torch)
"""

import json
from pathlib import Path

import torch
from torch import nn

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "nn" / "layers.json"

TRAIN, EVAL = True, False
# Name, layer, shape of the input, modes of the steps that are taken one after another, dtype.
F32, F64 = torch.float32, torch.float64


class Residual(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return x + self.block(x)




class AddInto(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x):
        return self.a(x) + self.b(x)


class SplitInto(nn.ModuleList):
    """Gives one tensor: the branches side by side."""

    def forward(self, x):
        return torch.cat([branch(x) for branch in self], -1)


def cases():
    for dtype in (F32, F64):
        yield "linear", nn.Linear(4, 3), [5, 4], [TRAIN], dtype
        yield "batchNorm1d", nn.BatchNorm1d(3), [6, 3], [TRAIN, TRAIN, EVAL], dtype
        yield "layerNorm", nn.LayerNorm(5), [4, 5], [TRAIN], dtype
    yield "linear of a vector", nn.Linear(4, 3), [4], [TRAIN], F32
    yield "linear of rank 3", nn.Linear(4, 3), [2, 3, 4], [TRAIN], F32
    yield "linear without bias", nn.Linear(4, 3, bias=False), [5, 4], [TRAIN], F32
    yield "relu", nn.ReLU(), [3, 4], [TRAIN], F32
    yield "leakyRelu", nn.LeakyReLU(), [3, 4], [TRAIN], F32
    yield "leakyRelu 0.2", nn.LeakyReLU(0.2), [3, 4], [TRAIN], F32
    yield "gelu", nn.GELU(), [3, 4], [TRAIN], F32
    yield "gelu tanh", nn.GELU("tanh"), [3, 4], [TRAIN], F32
    yield "tanh", nn.Tanh(), [3, 4], [TRAIN], F32
    yield "sigmoid", nn.Sigmoid(), [3, 4], [TRAIN], F32
    yield "softplus", nn.Softplus(), [3, 4], [TRAIN], F32
    yield "flatten", nn.Flatten(), [2, 3, 4], [TRAIN], F32
    yield "dropout in evaluation", nn.Dropout(0.5), [3, 4], [EVAL], F32
    yield "embedding", nn.Embedding(5, 3), [2, 4], [TRAIN], F32
    yield "layerNorm of a vector", nn.LayerNorm(5), [5], [TRAIN], F32
    yield "layerNorm of rank 3, eps", nn.LayerNorm(5, eps=0.1), [2, 3, 5], [TRAIN], F32
    yield "batchNorm1d of rank 3", nn.BatchNorm1d(3), [2, 3, 4], [TRAIN, TRAIN, EVAL], F32
    yield "batchNorm1d of one item of many", nn.BatchNorm1d(3), [1, 3, 4], [TRAIN, EVAL], F32
    yield "batchNorm1d with eps and momentum", nn.BatchNorm1d(3, eps=0.1, momentum=0.5), [6, 3], [TRAIN, TRAIN, EVAL], F32
    yield "batchNorm1d never trained", nn.BatchNorm1d(3), [6, 3], [EVAL], F32
    yield "sequential", nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2)), [8, 4], [TRAIN, EVAL], F32
    yield "repeated", nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), [5, 4], [TRAIN], F32
    yield "addInto", AddInto(nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))), [5, 4], [TRAIN], F32
    yield "splitInto", SplitInto([nn.Linear(4, 2), nn.Linear(4, 3)]), [5, 4], [TRAIN], F32
    yield "residual", Residual(nn.Sequential(nn.Linear(4, 4), nn.Tanh())), [5, 4], [TRAIN], F32
    for dtype in (F32, F64):
        yield "conv2d", nn.Conv2d(3, 4, 3), [2, 3, 5, 6], [TRAIN], dtype
        yield "batchNorm2d", nn.BatchNorm2d(3), [2, 3, 4, 3], [TRAIN, TRAIN, EVAL], dtype
    yield "conv2d with stride and padding", nn.Conv2d(2, 3, 3, stride=2, padding=1), [2, 2, 7, 6], [TRAIN], F32
    yield "conv2d with dilation", nn.Conv2d(2, 3, 3, padding=2, dilation=2), [1, 2, 6, 7], [TRAIN], F32
    yield "conv2d in groups", nn.Conv2d(4, 6, 3, padding=1, groups=2), [1, 4, 4, 5], [TRAIN], F32
    yield "conv2d without bias", nn.Conv2d(2, 3, 1, bias=False), [2, 2, 3, 4], [TRAIN], F32
    yield "conv2d of one image", nn.Conv2d(2, 3, 3), [2, 5, 4], [TRAIN], F32
    yield "batchNorm2d with eps and momentum", nn.BatchNorm2d(3, eps=0.1, momentum=0.5), [2, 3, 2, 3], [TRAIN, TRAIN, EVAL], F32
    yield "maxPool2d", nn.MaxPool2d(2), [2, 3, 6, 8], [TRAIN], F32
    yield "maxPool2d, overlapping", nn.MaxPool2d(3, 2, 1), [2, 3, 7, 6], [TRAIN], F32
    yield "avgPool2d", nn.AvgPool2d(2), [2, 3, 5, 8], [TRAIN], F32
    yield "avgPool2d, overlapping", nn.AvgPool2d(3, 2, 1), [2, 3, 7, 6], [TRAIN], F32
    yield "avgPool2d, padding not counted", nn.AvgPool2d(3, 2, 1, count_include_pad=False), [2, 3, 7, 6], [TRAIN], F32
    yield "avgPoolGlobal", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), [2, 3, 4, 5], [TRAIN], F32
    yield "maxPoolGlobal", nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()), [2, 3, 4, 5], [TRAIN], F32
    yield "flatten2d", nn.Flatten(), [2, 3, 4, 5], [TRAIN], F32
    yield "sequential of images", nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)), [3, 2, 6, 6], [TRAIN, EVAL], F32


def dumped(t):
    return {"shape": list(t.shape), "values": t.detach().flatten().tolist()}


def run(name, layer, shape, modes, dtype):
    layer = layer.to(dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7 + 0.3)
    case = {"name": name, "dtype": "f64" if dtype == F64 else "f32"}
    case["state"] = {path: dumped(t) for path, t in layer.state_dict().items()}
    case["steps"] = []
    for training in modes:
        layer.train(training)
        layer.zero_grad()
        integers = name == "embedding"
        x = torch.randint(0, 5, shape) if integers else (torch.randn(shape, dtype=dtype) * 2 + 0.5).requires_grad_()
        y = layer(x)
        dy = torch.randn_like(y)
        (y * dy).sum().backward()
        step = {"training": training, "x": dumped(x), "y": dumped(y), "dy": dumped(dy)}
        if not integers:
            step["dx"] = dumped(x.grad)
        step["gradients"] = {path: dumped(p.grad) for path, p in layer.named_parameters()}
        step["buffers"] = {path: dumped(b) for path, b in layer.named_buffers()}
        case["steps"].append(step)
    return case


def main():
    torch.manual_seed(0)
    golden = {"torch": torch.__version__, "cases": [run(*case) for case in cases()]}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden) + "\n")


main()
