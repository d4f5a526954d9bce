"""Plays one workload on PyTorch's CPU: the protocol is in ../harness/protocol.ts, the workloads are those of ../workloads.

    python torch.py --workload mlp-32 --threads 2
"""

import sys

# This file's folder would come first when torch is imported, and this file would be found in its place.
sys.path = sys.path[1:]

import argparse
import copy
import json
import platform
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def shapes_of_ten_layers():
    sizes = [784] + [304] * 9 + [10]
    return [shape for i, o in zip(sizes, sizes[1:]) for shape in ((o, i), (o,))]


def shapes_of_resnet50():
    def conv(outputs, inputs, kernel):
        return [(outputs, inputs, kernel, kernel), (outputs,), (outputs,)]

    shapes = conv(64, 3, 7)
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            shapes += conv(width, inputs, 1) + conv(width, width, 3) + conv(4 * width, width, 1)
            if block == 0:
                shapes += conv(4 * width, inputs, 1)
            inputs = 4 * width
    return shapes + [(1000, 2048), (1000,)]


def ema(shapes):
    source = [torch.randn(shape) for shape in shapes]
    target = [torch.randn(shape) for shape in shapes]

    def run():
        torch._foreach_lerp_(target, source, 0.005)

    return run


def gemm(n):
    a, b = torch.randn(n, n), torch.randn(n, n)
    return lambda: a @ b


def digit_net():
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)
    )


def tiny_net():
    return nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


def conv_net():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip


def training(model, shape, classes, followed=False):
    """Steps on resident batches: eight of images against seven of labels, which cannot be learnt by heart."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    images = [torch.rand(shape) for _ in range(8)]
    labels = [(torch.arange(shape[0]) * 7 + shift * 3) % classes for shift in range(7)]
    source = list(model.parameters())
    target = list(copy.deepcopy(model).parameters()) if followed else []
    turn = 0

    def run():
        nonlocal turn
        loss = F.cross_entropy(model(images[turn % 8]), labels[turn % 7])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if followed:
            with torch.no_grad():
                torch._foreach_lerp_(target, source, 0.001)
        turn += 1

    return run


def first_step():
    model = digit_net()

    def run():
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        loss = F.cross_entropy(model(torch.rand(32, 784)), torch.arange(32) % 10)
        loss.backward()
        optimizer.step()
        loss.item()

    return run


WORKLOADS = {
    "ema-1m": lambda: ema(shapes_of_ten_layers()),
    "ema-25m": lambda: ema(shapes_of_resnet50()),
    "gemm-256": lambda: gemm(256),
    "gemm-512": lambda: gemm(512),
    "gemm-1024": lambda: gemm(1024),
    "mlp-32": lambda: training(digit_net(), (32, 784), 10),
    "mlp-32-ema": lambda: training(digit_net(), (32, 784), 10, followed=True),
    "mlp-256": lambda: training(digit_net(), (256, 784), 10),
    "mlp-256-ema": lambda: training(digit_net(), (256, 784), 10, followed=True),
    "conv-32": lambda: training(conv_net(), (32, 1, 28, 28), 10),
    "tiny-32": lambda: training(tiny_net(), (32, 4), 2),
    "first-step": first_step,
}


def time_once(run):
    start = time.perf_counter()
    run()
    ms = (time.perf_counter() - start) * 1000
    return {"ms": ms, "best": ms, "cpu": time.process_time()}


def time_round(run, milliseconds):
    cpu = time.process_time()
    repeats = 32 if time_once(run)["ms"] < 0.25 else 1
    samples = []
    end = time.perf_counter() + milliseconds / 1000
    while len(samples) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        samples.append((time.perf_counter() - start) * 1000 / repeats)
    return {"ms": statistics.median(samples), "best": min(samples), "cpu": time.process_time() - cpu}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=WORKLOADS, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)

    def say(line):
        print(json.dumps(line), flush=True)

    run = WORKLOADS[options.workload]()
    only = time_once(run) if options.workload == "first-step" else None
    say({"threads": options.threads, "mode": f"PyTorch {torch.__version__}", "runtime": f"Python {platform.python_version()}"})
    for line in sys.stdin:
        say(only or time_round(run, json.loads(line)["milliseconds"]))


if __name__ == "__main__":
    main()
