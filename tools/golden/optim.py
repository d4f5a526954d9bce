"""Writes tests/golden/optim/steps.json: parameters after 1, 2 and 50 steps of PyTorch's optimizers.

    python tools/golden/optim.py        (needs torch)
"""

import json
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "optim" / "steps.json"
STEPS = [1, 2, 50]
SHAPES = {"weight": [3, 4], "bias": [5]}
# Gradients come round in turn, so that second moments and velocities see change of size and sign.
TURNS = 5

SGD, ADAM, ADAMW, RMSPROP = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop
CASES = [
    ("sgd", SGD, {"lr": 0.1}),
    ("sgd", SGD, {"lr": 0.1, "weight_decay": 0.05}),
    ("sgd", SGD, {"lr": 0.1, "momentum": 0.9}),
    ("sgd", SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("sgd", SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    ("sgd", SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("sgd", SGD, {"lr": 0.1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.05}),
    ("adam", ADAM, {}),
    ("adam", ADAM, {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-3}),
    ("adam", ADAM, {"lr": 0.02, "weight_decay": 0.1}),
    ("adamw", ADAMW, {}),
    ("adamw", ADAMW, {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.2}),
    ("adamw", ADAMW, {"lr": 0.02, "weight_decay": 0}),
    ("rmsprop", RMSPROP, {}),
    ("rmsprop", RMSPROP, {"lr": 0.02, "alpha": 0.9, "eps": 1e-3}),
    ("rmsprop", RMSPROP, {"lr": 0.02, "weight_decay": 0.1}),
    ("rmsprop", RMSPROP, {"lr": 0.02, "momentum": 0.9}),
    ("rmsprop", RMSPROP, {"lr": 0.02, "centered": True}),
    ("rmsprop", RMSPROP, {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "momentum": 0.5, "centered": True}),
]
# The same with a learning rate that falls: lr / step, counted from 1.
FALLING = [("sgd", SGD, {"lr": 0.1, "momentum": 0.9}), ("adam", ADAM, {"lr": 0.02}), ("rmsprop", RMSPROP, {"lr": 0.02})]


def names(options):
    """PyTorch's option names in ours."""
    ours = {}
    for name, value in options.items():
        if name == "betas":
            ours["beta1"], ours["beta2"] = value
        else:
            ours["weightDecay" if name == "weight_decay" else name] = value
    return ours


def run(make, options, start, gradients, dtype, falling):
    parameters = [torch.nn.Parameter(start[name].to(dtype).clone()) for name in SHAPES]
    optimizer = make(parameters, **options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: 1 / (done + 1)) if falling else None
    after = {}
    for step in range(1, max(STEPS) + 1):
        for parameter, name in zip(parameters, SHAPES):
            parameter.grad = gradients[step % TURNS][name].to(dtype)
        optimizer.step()
        if schedule:
            schedule.step()
        if step in STEPS:
            after[step] = {name: p.detach().flatten().tolist() for p, name in zip(parameters, SHAPES)}
    return after


def main():
    torch.manual_seed(0)
    make = lambda scale: {name: (torch.randn(shape) * scale) for name, shape in SHAPES.items()}
    start = make(1.0)
    gradients = [make(3.0 ** (turn - 2)) for turn in range(TURNS)]
    for table in gradients:
        table["bias"][0] = 0  # an element without a gradient: its second moment stays zero
    flat = lambda table: {name: t.flatten().tolist() for name, t in table.items()}
    cases = [
        {
            "optimizer": name,
            "options": names(options),
            "falling": falling,
            "f32": run(make_, options, start, gradients, torch.float32, falling),
            "f64": run(make_, options, start, gradients, torch.float64, falling),
        }
        for falling, table in ((False, CASES), (True, FALLING))
        for name, make_, options in table
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    golden = {
        "torch": torch.__version__,
        "shapes": SHAPES,
        "start": flat(start),
        "gradients": [flat(table) for table in gradients],
        "cases": cases,
    }
    OUT.write_text(json.dumps(golden) + "\n")


main()
