"""Writes tests/golden/update/post-hoc.json from EDM2's published formulas (Karras et al. 2024, appendix C, algorithm 3).

    python tools/golden/post_hoc.py      (needs numpy), then npx biome format --write is not needed: goldens are exempt
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[2] / "tests" / "golden" / "update" / "post-hoc.json"


def gamma_of(sigma):
    """Exponent of the profile with this relative standard deviation: largest root of the cubic."""
    t = sigma**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def correlation(ta, ga, tb, gb):
    ratio = ta / tb
    exponent = np.where(ta < tb, gb, -ga)
    return (ga + 1) * (gb + 1) * ratio**exponent / ((ga + gb + 1) * np.maximum(ta, tb))


def solve(steps, sigmas, target_step, target_sigma):
    t = np.float64(steps)
    g = np.array([gamma_of(s) for s in sigmas])
    tr, gr = np.float64(target_step), gamma_of(target_sigma)
    a = correlation(t[:, None], g[:, None], t[None, :], g[None, :])
    b = correlation(t, g, tr, gr)
    x = np.linalg.solve(a, b)
    x = x / x.sum()
    c = correlation(tr, gr, tr, gr)
    fit = float(np.sqrt(max(0.0, c - 2 * x @ b + x @ a @ x) / c))
    d = 1 / np.sqrt(np.diag(a))
    return {
        "steps": list(map(float, steps)),
        "sigmas": sigmas,
        "step": target_step,
        "sigma": target_sigma,
        "weights": x.tolist(),
        "fit": fit,
        "condition": float(np.linalg.cond(a * np.outer(d, d), 1)),
    }


def grid(steps, sigmas):
    return [s for s in steps for _ in sigmas], [x for _ in steps for x in sigmas]


def main():
    sigmas = [0.01, 0.02, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.28, 2 / 7]
    eight = grid([25, 50, 75, 100], [0.05, 0.1])
    cases = [
        solve([1000, 1000], [0.05, 0.1], 1000, 0.07),
        solve([1000, 1000], [0.05, 0.1], 1000, 0.1),
        solve(*eight, 100, 0.15),
        solve(*eight, 100, 0.03),
        solve(*eight, 75, 0.075),
        solve(*grid(list(range(2048, 2048 * 9, 2048)), [0.05, 0.1]), 2048 * 8, 0.085),
    ]
    OUT.write_text(
        json.dumps({"numpy": np.__version__, "gammas": [[s, gamma_of(s)] for s in sigmas], "cases": cases}, indent=1) + "\n"
    )


main()
