"""Writes tests/golden/optim/steps.json: parameters after 1, 2 and 50 steps of PyTorch's optimizers; and lookups.json:
a table after steps with the sparse gradients of torch.nn.Embedding.

    python tools/golden/optim.py        (needs torch)
"""

import json
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "optim"
OUT = FOLDER / "steps.json"
STEPS = [1, 2, 50]
SHAPES = {"weight": [3, 4], "bias": [5]}
# Gradients come round in turn, so that second moments and velocities see change of size and sign.
TURNS = 5

SGD, ADAM, ADAMW, RMSPROP = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop
SPARSE_ADAM = torch.optim.SparseAdam
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
    ("sparseAdam", SPARSE_ADAM, {}),
    ("sparseAdam", SPARSE_ADAM, {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-3}),
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
            gradient = gradients[step % TURNS][name].to(dtype)
            parameter.grad = gradient.to_sparse() if make is SPARSE_ADAM else gradient
        optimizer.step()
        if schedule:
            schedule.step()
        if step in STEPS:
            after[step] = {name: p.detach().flatten().tolist() for p, name in zip(parameters, SHAPES)}
    return after


TABLE = [40, 3]
LOOKUPS = [[[1, 5, 1], [0, 39, 5]], [[7, 7, 7]], [[2, 39]], [[0, 1, 2, 3, 4]], [[39, 5]]]


def lookups(make, options, start, weights, dtype):
    """A table after each step; every step looks rows up, some of them twice, and weighs them."""
    table = torch.nn.Embedding(*TABLE, sparse=True, dtype=dtype)
    table.weight.data.copy_(start)
    optimizer = make(table.parameters(), **options)
    after = []
    for step in range(3 * len(LOOKUPS)):
        turn = step % len(LOOKUPS)
        optimizer.zero_grad()
        sum((table(torch.tensor(rows)) * weights[turn][i].to(dtype)).sum() for i, rows in enumerate(LOOKUPS[turn])).backward()
        optimizer.step()
        after.append(table.weight.detach().flatten().tolist())
    return [after[0], after[len(LOOKUPS) - 1], after[-1]]


def main_lookups():
    torch.manual_seed(1)
    start = torch.randn(TABLE)
    weights = [[torch.randn(len(rows), TABLE[1]) for rows in lists] for lists in LOOKUPS]
    cases = [
        {
            "optimizer": name,
            "options": names(options),
            "f32": lookups(make, options, start, weights, torch.float32),
            "f64": lookups(make, options, start, weights, torch.float64),
        }
        for name, make, options in [
            ("sgd", SGD, {"lr": 0.1}),
            ("sparseAdam", SPARSE_ADAM, {"lr": 0.02}),
            ("sparseAdam", SPARSE_ADAM, {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-3}),
        ]
    ]
    golden = {
        "torch": torch.__version__,
        "start": start.flatten().tolist(),
        "lookups": LOOKUPS,
        "weights": [[w.flatten().tolist() for w in turn] for turn in weights],
        "cases": cases,
    }
    (FOLDER / "lookups.json").write_text(json.dumps(golden) + "\n")


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
main_lookups()
