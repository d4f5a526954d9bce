"""Writes tests/golden/training: the losses of 20 steps of a small net, its first and last weights, and the data.

    python tools/golden/training.py       (needs torch, safetensors)

`network.safetensors` and `network-f16.safetensors` are state dicts as PyTorch saves them, batch norm's I64 counter included.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "training"
STEPS, BATCH, ITEMS, FEATURES, CLASSES = 20, 16, 64, 8, 4


def losses(network, inputs, labels, dtype):
    network = network.to(dtype)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    seen = []
    for step in range(STEPS):
        start = step * BATCH % ITEMS
        x, y = inputs[start : start + BATCH].to(dtype), labels[start : start + BATCH]
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    make = lambda: nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, CLASSES))
    first = make()
    centres = torch.randn(CLASSES, FEATURES)
    labels = torch.arange(ITEMS) % CLASSES
    inputs = centres[labels] + torch.randn(ITEMS, FEATURES)
    save_file(first.state_dict(), OUT / "first.safetensors")
    golden = {"torch": torch.__version__, "batch": BATCH, "inputs": inputs.flatten().tolist(), "labels": labels.tolist()}
    for name, dtype in (("f32", torch.float32), ("f64", torch.float64)):
        network = make()
        network.load_state_dict(first.state_dict())
        golden[name] = losses(network, inputs, labels, dtype)
        if dtype == torch.float32:
            save_file(network.state_dict(), OUT / "last.safetensors")
    (OUT / "losses.json").write_text(json.dumps(golden) + "\n")

    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    for _ in range(5):
        network(torch.randn(6, 3))
    state = network.state_dict()
    save_file(state, OUT / "network.safetensors", metadata={"format": "pt"})
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        narrow = {path: t.to(dtype) if t.is_floating_point() else t for path, t in state.items()}
        save_file(narrow, OUT / f"network-{name}.safetensors")
    x = torch.randn(2, 3)
    values = lambda table: {path: t.float().flatten().tolist() for path, t in table.items()}
    expected = {
        "torch": torch.__version__,
        "state": values(state),
        "f16": values({path: t.to(torch.float16) for path, t in state.items()}),
        "bf16": values({path: t.to(torch.bfloat16) for path, t in state.items()}),
        "x": x.tolist(),
        "y": network.eval()(x).tolist(),
    }
    (OUT / "network.json").write_text(json.dumps(expected) + "\n")


main()
