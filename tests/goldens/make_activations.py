#!/usr/bin/env python3
"""Writes activations.csv and logits.json beside this file; with --fit, prints the engine's polynomials instead.

The truth comes from mpmath with 250 bits, rounded once to the nearest number of the type. Nothing here knows the Rust
code. Run it, in a virtual environment of its own, from the root of the repository:

    python -m pip install mpmath==1.3.0
    python tests/goldens/make_activations.py

Written with Python 3.11.7 and mpmath 1.3.0; a second run writes the same bytes anywhere.

Numbers are the bits of an IEEE 754 number in hexadecimal, 16 digits for float64 and 8 for float32. A line of
activations.csv is z, then σ(z) and σ′(z) of sigmoid, tanh, GELU (z Φ(z)) and SiLU. In logits.json a case has logits,
the targets of its one sample (or the label), the loss, and df; "magnitude" is the size of what is subtracted in df where
the subtraction is inherent (targets that are no one-hot row).
"""

import json
import random
import struct
import sys
from pathlib import Path

from mpmath import cos, erfc, exp, findroot, linspace, log, log1p, mp, mpf, nstr, pi, polyval, sech, sqrt, tanh

HERE = Path(__file__).resolve().parent
mp.prec = 250

FORMATS = {"f64": ("<d", "<Q", 16, 53, -1074), "f32": ("<f", "<I", 8, 24, -149)}


def bits(x, kind):
    """The bits of a number of the type."""
    number, integer, digits, _, _ = FORMATS[kind]
    return f"{struct.unpack(integer, struct.pack(number, x))[0]:0{digits}x}"


def of_bits(n, kind):
    number, integer, _, _, _ = FORMATS[kind]
    return struct.unpack(number, struct.pack(integer, n))[0]


def rounded(x, kind):
    """The nearest number of the type, ties to even, subnormal ones included."""
    _, _, _, precision, smallest = FORMATS[kind]
    x = mpf(x)
    if x == 0:
        return 0.0
    exponent = max(int(mp.floor(mp.log(abs(x), 2))) - precision + 1, smallest)
    # log may be one off next to a power of two; one digit too many is noticed by the size.
    scaled = x / mpf(2) ** exponent
    if abs(scaled) >= mpf(2) ** precision:
        exponent += 1
        scaled = x / mpf(2) ** exponent
    elif abs(scaled) < mpf(2) ** (precision - 1) and exponent > smallest:
        exponent -= 1
        scaled = x / mpf(2) ** exponent
    return float(mp.nint(scaled) * mpf(2) ** exponent)


# --- Activations ---------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + exp(-x))


def density(x):
    return exp(-x * x / 2) / sqrt(2 * pi)


def normal(x):
    return erfc(-x / sqrt(2)) / 2


COLUMNS = {
    "sigmoid": sigmoid,
    "sigmoid_slope": lambda x: sigmoid(x) * sigmoid(-x),
    "tanh": tanh,
    "tanh_slope": lambda x: sech(x) ** 2,
    "gelu": lambda x: x * normal(x),
    "gelu_slope": lambda x: normal(x) + x * density(x),
    "silu": lambda x: x * sigmoid(x),
    "silu_slope": lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
}

# Where GELU′ and SiLU′ are 0, and where GELU and SiLU are least, which is the same.
ZEROS = ["-0.75179152469356445745790494677952", "-1.27846454276107379510935873902298"]


def points(kind, draw):
    """All of ±40, denser in ±3, the surroundings of the zeros of the slopes, of 0 and of the ends of the range."""
    _, _, _, precision, smallest = FORMATS[kind]
    z = [k / 4 for k in range(-160, 161)]
    z += [draw.uniform(-40, 40) for _ in range(250)]
    z += [draw.uniform(-3, 3) for _ in range(150)]
    for zero in ZEROS:
        zero = rounded(zero, kind)
        n = int(bits(zero, kind), 16)
        z += [of_bits(n + d, kind) for d in range(-12, 13)]
        z += [zero + s * draw.uniform(0.5, 2) * 10.0**-e for e in range(1, 15) for s in (-1, 1)]
    # The results become subnormal, and then 0.
    ends = {"f64": (-39, -36.5), "f32": (-14.5, -12.5)}[kind]
    z += [draw.uniform(*ends) for _ in range(60)]
    # Subnormal z, powers of two, both zeros.
    z += [s * 2.0**e for e in range(smallest, 6, 29) for s in (-1, 1)]
    z += [s * draw.randrange(1, 2 ** (precision - 1)) * 2.0**smallest for s in (-1, 1) for _ in range(4)]
    return sorted({of_bits(int(bits(x, kind), 16), kind) for x in z}) + [-0.0]


def activations():
    lines = ["z," + ",".join(COLUMNS)]
    for kind in FORMATS:
        draw = random.Random(f"activations {kind}")
        for z in points(kind, draw):
            row = [z]
            for name, f in COLUMNS.items():
                value = rounded(f(mpf(z)), kind)
                # An odd function keeps the sign of −0.
                row.append(z * value if z == 0 and not name.endswith("slope") and name != "sigmoid" else value)
            lines.append(",".join(bits(x, kind) for x in row))
    (HERE / "activations.csv").write_text("\n".join(lines) + "\n")


# --- Losses on logits ----------------------------------------------------------------------------------------------


def cross_entropy(f, y):
    e = [exp(x - max(f)) for x in f]
    total = sum(e)
    p = [x / total for x in e]
    loss = -sum(t * (x - max(f) - log(total)) for x, t in zip(f, y) if t != 0)
    return loss, [a * sum(y) - t for a, t in zip(p, y)], [a * (sum(y) - t) + t * (1 - a) for a, t in zip(p, y)]


def binary_cross_entropy(f, y):
    f, y = f[0], y[0]
    softplus = (f if f > 0 else mpf(0)) + log1p(exp(-abs(f)))
    return softplus - f * y, [sigmoid(f) - y], [sigmoid(f) * (1 - y) + y * sigmoid(-f)]


def logits():
    mp.prec = 2400  # The loss of a sample that is right by 700 is lost in fewer.
    cases = []
    for kind in FORMATS:
        draw = random.Random(f"logits {kind}")
        number = lambda x: of_bits(int(bits(x, kind), 16), kind)
        reach = {"f64": 700, "f32": 85}[kind]

        def add(loss, f, y, label):
            f, y = [number(x) for x in f], [number(x) for x in y]
            function = cross_entropy if loss == "CROSS_ENTROPY" else binary_cross_entropy
            value, df, magnitude = function([mpf(x) for x in f], [mpf(x) for x in y])
            case = {"type": kind, "loss_function": loss, "logits": [bits(x, kind) for x in f]}
            if label is None:
                case["targets"] = [bits(x, kind) for x in y]
            else:
                case["label"] = label
            case["loss"] = bits(rounded(value, "f64"), "f64")
            case["df"] = [bits(rounded(x, kind), kind) for x in df]
            if label is None and sorted(y)[-1] != sum(y):
                case["magnitude"] = [bits(rounded(x, kind), kind) for x in magnitude]
            cases.append(case)

        for n in (2, 3, 10):
            for spread in (1, 40, reach / 2, reach):
                for label in {0, n - 1}:
                    f = [draw.uniform(-spread, spread) for _ in range(n)]
                    one_hot = [float(j == label) for j in range(n)]
                    add("CROSS_ENTROPY", f, one_hot, label)
                    add("CROSS_ENTROPY", f, one_hot, None)
                    # The label's logit leads by far; all logits far from 0.
                    f[label] = max(f) + draw.uniform(20, 60)
                    f = [x + 1000 for x in f]
                    add("CROSS_ENTROPY", f, one_hot, label)
                    soft = [draw.random() for _ in range(n)]
                    add("CROSS_ENTROPY", f, soft, None)
        for spread in (1, 40, reach):
            for y in (0.0, 1.0, 0.25, 1e-12):
                for s in (-1, 1):
                    f = [s * draw.uniform(0.3, 1) * spread]
                    add("BINARY_CROSS_ENTROPY", f, [y], int(y) if y in (0.0, 1.0) else None)
    text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
    (HERE / "logits.json").write_text(text)


# --- Polynomials ---------------------------------------------------------------------------------------------------


def chebyshev(f, a, b, degree):
    """The polynomial through f at Chebyshev's points of [a, b], in powers of x, lowest first."""
    n = degree + 1
    nodes = [cos(pi * (j + mpf(1) / 2) / n) for j in range(n)]
    values = [f((b - a) / 2 * x + (a + b) / 2) for x in nodes]
    weights = [2 * sum(v * cos(i * pi * (j + mpf(1) / 2) / n) for j, v in enumerate(values)) / n for i in range(n)]
    weights[0] /= 2
    # T₀, T₁, … in powers of x.
    middle, half = (a + b) / 2, (b - a) / 2
    before, now = [mpf(1)], [-middle / half, 1 / half]
    result = [mpf(0)] * n
    for weight in weights:
        for k, c in enumerate(before):
            result[k] += weight * c
        after = [2 * x for x in multiply(now, [-middle / half, 1 / half])]
        for k, c in enumerate(before):
            after[k] -= c
        before, now = now, after
    return result


def multiply(a, b):
    product = [mpf(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] += x * y
    return product


def fit():
    def show(name, f, a, b, degree, weight):
        coefficients = chebyshev(f, mpf(a), mpf(b), degree)
        error = max(abs(polyval(coefficients[::-1], x) - f(x)) * weight(x) for x in linspace(a, b, 301))
        print(f"{name}: within 2^{nstr(log(error, 2), 4)}")
        for c in coefficients:
            print(f"    {float(c)!r},")

    def mills(t):
        return sqrt(pi / 2) * exp(t * t / 2) * erfc(t / sqrt(2))

    def split(name, x):
        print(f"{name}: {float(x)!r} {float(x - mpf(float(x)))!r}")

    ln_2 = log(2)
    high = of_bits(int(bits(float(ln_2), "f64"), 16) >> 20 << 20, "f64")
    print(f"ln 2: {high!r} {float(ln_2 - mpf(high))!r}")
    end = ln_2 / 2 * mpf("1.001")
    rest = lambda r: mpf(1) / 2 + r / 6 if abs(r) < mpf(10) ** -30 else (exp(r) - 1 - r) / r**2
    show("(exp(r) - 1 - r) / r^2", rest, -end, end, 10, lambda r: end**2)
    gelu_zero = findroot(lambda t: mills(t) - t, mpf("0.75"))
    silu_zero = findroot(lambda t: 1 + exp(-t) - t, mpf("1.28"))
    split("GELU zero", gelu_zero)
    split("SiLU zero", silu_zero)
    split("exp(-SiLU zero)", exp(-silu_zero))
    of_u = lambda u: 4 * (1 + u) / (1 - u)
    last = mpf(36) / 44 * mpf("1.00001")
    product = lambda u: mills(of_u(u)) * (of_u(u) + 4)
    show("R(t) (t + 4)", product, mpf(-1), last, 24, lambda u: 1 / product(u))
    below = lambda u: (mills(of_u(u)) - of_u(u)) / (gelu_zero - of_u(u))
    show("(R(t) - t) / (t0 - t)", below, mpf(-1), last, 22, lambda u: 1 / below(u))


if __name__ == "__main__":
    if sys.argv[1:] == ["--fit"]:
        fit()
    else:
        activations()
        logits()
