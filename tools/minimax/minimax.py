"""Minimax polynomials for src/backends/wasm/math, with coefficients rounded one after the other.

Developer-only: needs mpmath and numpy. Run `python3 tools/minimax/minimax.py` to print every
coefficient list the math files hold, with the largest weighted error of the rounded polynomial.
"""
import numpy as np
from mpmath import mp, mpf

mp.dps = 40


def fit(f, powers, weight, lo, hi, points=600, rounds=300, to=np.float32):
    """Coefficients c with f(x) ~ sum c_i x^powers_i on [lo, hi], minimising max |error * weight|.

    Lawson's reweighted least squares; after each fit the lowest free coefficient is rounded to `to`
    and fixed, so later ones make up for its rounding.
    """
    xs = [(lo + hi) / 2 + (hi - lo) / 2 * mp.cos(mp.pi * (i + mpf(1) / 2) / points) for i in range(points)]
    target = np.array([float(f(x)) for x in xs], dtype=np.longdouble)
    x = np.array([float(v) for v in xs], dtype=np.longdouble)
    w = np.array([float(weight(v)) for v in xs], dtype=np.longdouble)
    scale = np.longdouble(float(max(abs(lo), abs(hi))))
    fixed = []
    while len(fixed) < len(powers):
        free = powers[len(fixed):]
        rest = target - sum((np.longdouble(c) * x ** p for c, p in zip(fixed, powers)), np.longdouble(0))
        basis = np.array([(x / scale) ** p for p in free], dtype=np.float64).T
        lawson = np.ones(points)
        best, best_error = None, np.inf
        for _ in range(rounds):
            m = np.sqrt(lawson) * np.float64(w)
            c = np.linalg.lstsq(basis * m[:, None], np.float64(rest) * m, rcond=None)[0]
            error = np.abs((basis @ c - np.float64(rest)) * np.float64(w))
            if error.max() < best_error:
                best, best_error = c, error.max()
            lawson = lawson * (error / error.max() + 1e-3)
            lawson /= lawson.sum()
        fixed.append(to(best[0] / float(scale) ** free[0]))
    result = sum((np.longdouble(c) * x ** p for c, p in zip(fixed, powers)), np.longdouble(0))
    return fixed, float(np.abs((result - target) * w).max())


def show(name, coefficients, error):
    print(f'{name}: max error 2^{np.log2(error):.1f}')
    print('  [' + ', '.join(repr(float(c)) for c in coefficients) + ']')


LN2_2 = mp.log(2) / 2 * mpf('1.003')
S_MAX = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mpf('1.001')
QUARTER = mp.pi / 4 * mpf('1.001')


def expm1_rest(r):
    return mpf(1) / 2 + r / 6 if r == 0 else (mp.expm1(r) - r) / r ** 2


def main():
    # exp, expm1: e^r = 1 + r + r^2 q(r)
    for n in (4, 5, 6):
        show(f'exp q, {n} terms (error relative to e^r)',
             *fit(expm1_rest, list(range(n)), lambda r: r * r / mp.exp(r), -LN2_2, LN2_2))
        show(f'expm1 q, {n} terms (error relative to e^r - 1)',
             *fit(expm1_rest, list(range(n)), lambda r: abs(r), -LN2_2, LN2_2))
    # log: log((1+s)/(1-s)) = 2 s + s R(s^2)
    for n in (3, 4):
        show(f'log R, {n} terms', *fit(
            lambda z: (2 * mp.atanh(mp.sqrt(z)) - 2 * mp.sqrt(z)) / mp.sqrt(z), list(range(1, n + 1)), lambda z: mpf(1) / 2,
            mpf('1e-12'), S_MAX ** 2))
    # sin r = r + r^3 S(r^2), cos r = 1 - r^2/2 + r^4 C(r^2)
    for n in (3, 4):
        show(f'sin S, {n} terms', *fit(
            lambda z: (mp.sin(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, list(range(n)), lambda z: z,
            mpf('1e-9'), QUARTER ** 2))
        show(f'cos C, {n} terms', *fit(
            lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z ** 2, list(range(n)), lambda z: z * z / mp.cos(mp.sqrt(z)),
            mpf('1e-6'), QUARTER ** 2))
    # tanh x = x + x^3 T(x^2) for small x
    for n in (4, 5):
        show(f'tanh T, {n} terms, |x| < 0.625', *fit(
            lambda z: (mp.tanh(mp.sqrt(z)) - mp.sqrt(z)) / mp.sqrt(z) ** 3, list(range(n)),
            lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)), mpf('1e-9'), mpf('0.625') ** 2))
    # erf x = x E(x^2) below 1, and -log(erfc a) = a Q(a) above
    for n in (5, 6, 7):
        show(f'erf small, {n} terms, x < 1', *fit(
            lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, list(range(n)),
            lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)), mpf('1e-9'), mpf(1)))
    for n in (6, 7, 8, 9):
        show(f'erf large, {n} terms', *fit(
            lambda a: -mp.log(mp.erfc(a)) / a, list(range(n)),
            lambda a: a * mp.erfc(a) / mp.erf(a), mpf('0.99'), mpf('3.95')))
    # pow, in f64: log2 m = s L(s^2) with s = (m-1)/(m+1); 2^f
    for n in (6, 7):
        show(f'log2 L, {n} terms, f64', *fit(
            lambda z: 2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) / mp.log(2), list(range(n)), lambda z: mpf(1) / 3,
            mpf('1e-12'), S_MAX ** 2, to=np.float64))
    for n in (7, 8):
        show(f'exp2, {n} terms, f64', *fit(
            lambda f: mpf(2) ** f, list(range(n)), lambda f: mpf(2) ** -f, mpf('-0.5005'), mpf('0.5005'), to=np.float64))


if __name__ == '__main__':
    main()
