"""Writes tests/golden/update/averages.json: averages of a path of weights by PyTorch and by published formulas.

    python tools/golden/averages.py       (needs torch)

- swa: torch.optim.swa_utils.AveragedModel without an averaging function.
- inverse: ema-pytorch's decay, 1 - (1 + n / inv_gamma) ** -power clamped to beta, n = updates before, first one a copy.
- power: EDM2's PowerFunctionEMA, beta = (1 - delta / t) ** (gamma + 1), updated every 1 and every 10 of the units t.
- debiased: optax.ema's accumulator divided by 1 - decay ** n.
"""

import json
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "update" / "averages.json"
SIZE = 5
STEPS = 60


def swa(path):
    model = torch.nn.Linear(SIZE, 1, bias=False)
    average = AveragedModel(model)
    for weights in path:
        with torch.no_grad():
            model.weight.copy_(weights)
        average.update_parameters(model)
    return average.module.weight.detach().flatten().tolist()


def blended(path, decays):
    average = torch.zeros(SIZE, dtype=torch.float64)
    for weights, decay in zip(path, decays, strict=True):
        average = decay * average + (1 - decay) * weights.double()
    return average.tolist()


def inverse(path, inv_gamma, power, beta):
    decays = [min(beta, 1 - (1 + n / inv_gamma) ** -power) for n in range(len(path))]
    return blended(path, decays)


def power(path, gamma, every):
    chosen = [(t, path[t - 1]) for t in range(every, len(path) + 1, every)]
    return blended([weights for _, weights in chosen], [(1 - every / t) ** (gamma + 1) for t, _ in chosen])


def debiased(path, decay):
    biased = blended(path, [decay] * len(path))
    return [value / (1 - decay ** len(path)) for value in biased]


def main():
    torch.manual_seed(1)
    path = torch.cumsum(torch.randn(STEPS, SIZE), 0)
    golden = {
        "torch": torch.__version__,
        "path": path.tolist(),
        "swa": swa(path),
        "inverse": inverse(path, 2.0, 0.75, 0.95),
        "power1": power(path, 6.94, 1),
        "power10": power(path, 6.94, 10),
        "debiased": debiased(path, 0.97),
    }
    OUT.write_text(json.dumps(golden) + "\n")


main()
