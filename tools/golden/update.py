"""Writes tests/golden/update/ema.json: PyTorch's averaged weights after 1, 2 and 50 updates.

    python tools/golden/update.py       (needs torch)
"""

import json
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "update" / "ema.json"
UPDATES = [1, 2, 50]
SIZE = 17
DECAYS = [0.999, 0.99, 0.9, 0.5, 0.4, 0.1]
# The source comes round in turn.
TURNS = 4


def lerped(start, sources, decay, dtype):
    """What `_foreach_lerp_` alone does, without AveragedModel, which copies the first time."""
    target = start.to(dtype).clone()
    after = {}
    for update in range(1, max(UPDATES) + 1):
        torch._foreach_lerp_([target], [sources[update % TURNS].to(dtype)], 1 - decay)
        if update in UPDATES:
            after[update] = target.tolist()
    return after


def averaged(start, sources, decay, dtype):
    """What AveragedModel gives when it starts as a copy: its first update copies once more, so it is made from `start`."""
    model = torch.nn.Linear(SIZE, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(start.to(dtype))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    average.update_parameters(model)
    after = {}
    for update in range(1, max(UPDATES) + 1):
        with torch.no_grad():
            model.weight.copy_(sources[update % TURNS].to(dtype))
        average.update_parameters(model)
        if update in UPDATES:
            after[update] = average.module.weight.detach().flatten().tolist()
    return after


def main():
    torch.manual_seed(0)
    start = torch.randn(SIZE)
    sources = [torch.randn(SIZE) * 10.0**turn for turn in (-3, 0, 1, -1)]
    cases = []
    for decay in DECAYS:
        case = {"decay": decay}
        for dtype, name in ((torch.float32, "f32"), (torch.float64, "f64")):
            case[name] = lerped(start, sources, decay, dtype)
            assert averaged(start, sources, decay, dtype) == case[name], "AveragedModel is lerp"
        cases.append(case)
    golden = {"torch": torch.__version__, "start": start.tolist(), "sources": [s.tolist() for s in sources], "cases": cases}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden) + "\n")


main()
