"""Writes tests/golden/half.safetensors: what PyTorch makes of f16 and bf16.

    python tools/golden/half.py        (needs torch and safetensors)

single: f32 values (ties, their neighbours, subnormals, overflow, infinities, NaN) and their nearest f16 and bf16 as bits.
ops: PyTorch's own bf16 and f16 results and gradients on the CPU, per case
<dtype>/<case>/in.<i>, out, dy, grad.<i>.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "half.safetensors"
HALVES = {"f16": torch.float16, "bf16": torch.bfloat16}
generator = torch.Generator().manual_seed(16)


def singles():
    """f32 values where rounding to 16 bits is decided."""
    some = torch.randint(0, 0x7C00, (400,), generator=generator, dtype=torch.int32)
    bits = [torch.randint(-(2**31), 2**31 - 1, (1000,), generator=generator, dtype=torch.int64).to(torch.int32)]
    for dtype, top in (("f16", 0x7BFF), ("bf16", 0x7F7E)):
        at = torch.cat([some % top, torch.arange(0, 40, dtype=torch.int32), torch.tensor([top - 1], dtype=torch.int32)])
        low = at.to(torch.int16).view(HALVES[dtype]).float()
        high = (at + 1).to(torch.int16).view(HALVES[dtype]).float()
        middle = ((low.double() + high.double()) / 2).float().view(torch.int32)
        for step in (-1, 0, 1):
            bits += [middle + step, (middle + step) ^ torch.tensor(-(2**31), dtype=torch.int32)]
        bits += [low.view(torch.int32)]
    special = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 65504.0, 65519.996, 65520.0, 65536.0, 3.4e38, 1e-45, 2**-24, 2**-25, 2**-26]
    bits.append(torch.tensor(special, dtype=torch.float32).view(torch.int32))
    return torch.cat(bits).view(torch.float32)


# Inputs are normal numbers; each case is one op of ours.
CASES = {
    "add": ("a + b", [[64], [64]]),
    "mul": ("a * b", [[64], [64]]),
    "div": ("a / b", [[64], [64]]),
    "mul number": ("a * 0.1", [[64]]),
    "exp": ("a.exp()", [[64]]),
    "tanh": ("a.tanh()", [[64]]),
    "sigmoid": ("a.sigmoid()", [[64]]),
    "gelu": ("F.gelu(a)", [[64]]),
    "sum": ("a.sum(1)", [[5, 300]]),
    "mean": ("a.mean(1)", [[5, 300]]),
    "max": ("a.amax(1)", [[5, 30]]),
    "matmul": ("a @ b", [[7, 65], [65, 9]]),
    "linear": ("F.linear(a, b, c)", [[6, 33], [8, 33], [8]]),
    "softmax": ("a.softmax(-1)", [[6, 50]]),
    "logSoftmax": ("a.log_softmax(-1)", [[6, 50]]),
    "layerNorm": ("F.layer_norm(a, [40], b, c)", [[6, 40], [40], [40]]),
    "conv2d": ("F.conv2d(a, b, c, padding=1)", [[2, 3, 7, 7], [4, 3, 3, 3], [4]]),
    "maxPool2d": ("F.max_pool2d(a, 2)", [[2, 3, 6, 6]]),
    "mse": ("F.mse_loss(a, b)", [[8, 12], [8, 12]]),
    "crossEntropy": ("F.cross_entropy(a, torch.arange(8) % 10)", [[8, 10]]),
    "embedding": ("F.embedding(torch.tensor([3, 1, 3, 0]), a)", [[5, 7]]),
}


def main():
    values = singles()
    tensors = {"single/f32": values}
    for name, dtype in HALVES.items():
        tensors[f"single/{name}"] = values.to(dtype).view(torch.int16)
        for case, (source, shapes) in CASES.items():
            inputs = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]
            y = eval(source, {"torch": torch, "F": F}, dict(zip("abc", inputs)))
            assert y.dtype == dtype, (case, y.dtype)
            dy = torch.randn(y.shape, generator=generator).to(dtype)
            gradients = torch.autograd.grad(y, inputs, dy)
            stored = {"out": y.detach(), "dy": dy}
            stored |= {f"in.{i}": x.detach() for i, x in enumerate(inputs)}
            stored |= {f"grad.{i}": x for i, x in enumerate(gradients)}
            for what, tensor in stored.items():
                tensors[f"{name}/{case}/{what}"] = tensor.contiguous().clone()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, OUT, {"torch": torch.__version__})
    print(len(tensors), "tensors,", OUT.stat().st_size, "bytes")


main()
