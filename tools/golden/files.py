"""Writes tests/golden/files: models written by the Python safetensors package, and what averages of them are in f64.

    python tools/golden/files.py              write the files (needs torch, numpy, safetensors)
    python tools/golden/files.py --check DIR  read what `dfdt average` and `dfdt ema` made of them, NAME.safetensors for
                                              each NAME below, and compare it with the f64 values

That Python reads what dfdt writes was checked with --check; docs/decisions/0013-averages-of-files.md says when.
"""

import json
import sys
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "files"
EPS = {torch.float32: 2**-24, torch.float16: 2**-11, torch.bfloat16: 2**-8, torch.float64: 2**-53}


def model(seed):
    g = torch.Generator().manual_seed(seed)
    r = lambda *shape: torch.randn(shape, generator=g, dtype=torch.float64)
    return {
        "layers.0.weight": r(16, 9).float(),
        "layers.0.bias": r(16).float(),
        "layers.1.weight": r(5, 7).half(),
        "layers.2.weight": r(3, 11).bfloat16(),
        "layers.3.weight": r(6, 2),
        "größe.scale": r().float(),
        "layers.4.empty": torch.zeros(0, 3),
        "layers.0.num_batches_tracked": torch.tensor(7, dtype=torch.int64),
        "mask": torch.tensor([True, False, True]),
    }


def numbers(tensor):
    return tensor.double().numpy()


def ema(models, decay):
    out = numbers(models[0])
    for m in models[1:]:
        out = decay * out + (1 - decay) * numbers(m)
    return out


def slerp(a, b, t):
    a, b = numbers(a), numbers(b)
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = np.sum(a * b) / norm if norm > 0 else 1.0
    if abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    theta = np.arccos(cosine)
    return (np.sin((1 - t) * theta) * a + np.sin(t * theta) * b) / np.sin(theta)


WAYS = {
    "mean": lambda ms: sum(numbers(m) for m in ms) / 3,
    "weights": lambda ms: (3 * numbers(ms[0]) - numbers(ms[1]) + 2 * numbers(ms[2])) / 4,
    "alpha": lambda ms: 0.7 * numbers(ms[0]) + 0.3 * numbers(ms[1]),
    "slerp": lambda ms: slerp(ms[0], ms[1], 0.3),
    "decay": lambda ms: ema(ms, 0.9),
    "ema": lambda ms: ema(ms[:2], 0.25),
}


def gamma_of(sigma):
    t = sigma**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def power_averages(steps, sigmas):
    """Power EMAs of a random walk, updated as EDM2 does: beta = (1 - 1/t)^(gamma + 1)."""
    rng = np.random.default_rng(3)
    weights = np.cumsum(rng.standard_normal((max(steps), 40)) * 0.05, axis=0)
    kept, averages = {}, {s: np.zeros(40) for s in sigmas}
    for t, w in enumerate(weights, start=1):
        for s in sigmas:
            beta = (1 - 1 / t) ** (gamma_of(s) + 1)
            averages[s] = beta * averages[s] + (1 - beta) * w
            if t in steps:
                kept[t, s] = averages[s].copy()
    return kept


def write():
    OUT.mkdir(parents=True, exist_ok=True)
    models = [model(seed) for seed in (1, 2, 3)]
    for name, m in zip("abc", models):
        save_file(m, OUT / f"{name}.safetensors", {"format": "pt"})
    b = models[1]
    shards = {"model-00001-of-00002.safetensors": ["layers.0.weight", "layers.3.weight", "mask"]}
    shards["model-00002-of-00002.safetensors"] = [n for n in b if n not in shards["model-00001-of-00002.safetensors"]]
    (OUT / "sharded").mkdir(exist_ok=True)
    for file, names in shards.items():
        save_file({n: b[n] for n in names}, OUT / "sharded" / file, {"format": "pt"})
    index = {
        "metadata": {"total_size": sum(t.numel() * t.element_size() for t in b.values())},
        "weight_map": {n: f for f, names in shards.items() for n in names},
    }
    (OUT / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

    expected = {
        f"{way}/{n}": torch.tensor(f([m[n] for m in models]))
        for way, f in WAYS.items()
        for n in b
        if b[n].is_floating_point()
    }
    kept = power_averages([500, 1000, 1500, 2000], [0.05, 0.1, 0.075])
    for (step, sigma), w in kept.items():
        if sigma != 0.075:
            meta = {"power_ema_sigma_rel": str(sigma), "power_ema_step": str(step)}
            save_file({"w": torch.tensor(w).float()}, OUT / f"snapshot-{step:04d}-{sigma}.safetensors", meta)
    # What training would have kept; post-hoc averages come near it.
    expected["posthoc/w"] = torch.tensor(kept[2000, 0.075])
    save_file(expected, OUT / "expected.safetensors", {"torch": torch.__version__, "numpy": np.__version__, "safetensors": safetensors.__version__})


def check(directory):
    expected, first = load_file(OUT / "expected.safetensors"), model(1)
    for way in WAYS:
        path = directory / f"{way}.safetensors"
        ours = load_file(path)
        with safe_open(path, "pt") as f:
            metadata = f.metadata()
        assert list(sorted(ours)) == list(sorted(first)), path
        for name, tensor in ours.items():
            assert tensor.dtype == first[name].dtype and tensor.shape == first[name].shape, (way, name)
            if not tensor.is_floating_point():
                assert torch.equal(tensor, first[name])
                continue
            want = expected[f"{way}/{name}"]
            error = (tensor.double() - want).abs().max().item() if want.numel() else 0.0
            largest = want.abs().max().item() if want.numel() else 0.0
            assert error <= 4 * EPS[tensor.dtype] * max(1.0, largest), (way, name, error)
        print(f"{way}: {len(ours)} tensors as expected, metadata {metadata}")


if sys.argv[1:2] == ["--check"]:
    check(Path(sys.argv[2]))
else:
    write()
