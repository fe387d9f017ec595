#!/usr/bin/env python3
"""Writes the golden numbers beside this file: networks.json, optimizers.json, jacobians.json.

The truth comes from PyTorch in float64: torch.autograd for every derivative, torch.nn.functional for the losses and
activations, torch.optim for the updates, torch.optim.lr_scheduler for the learning rates. Nothing here knows the Rust
code. Run it, in a virtual environment of its own, from the root of the repository:

    python -m pip install torch==2.15.0 numpy==2.4.6
    python tests/goldens/make.py

Written with Python 3.11.7, torch 2.15.0 and numpy 2.4.6 on x86-64. Inputs come from `random.Random(name)` and are
rounded to three decimals, so they are the same everywhere; a second run on one machine writes the same bytes, while
another CPU may differ in the last digits of what torch computes. Floats are printed by `repr` and read back exactly.

A tensor is {"shape": [...], "values": [...]}, row-major. `spec` is a ModelSpec in the protocol's JSON with its
snake_case names. Lists of z, h, dz, dh, dw, db begin with layer 1.
"""

import json
import math
import random
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
TORCH = torch.__version__.split("+")[0]

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
if torch.get_default_dtype() is not torch.float64 or torch.tensor(1.0).dtype is not torch.float64:
    raise SystemExit("make.py: torch's default dtype is not float64; nothing was written")


# --- Writing -----------------------------------------------------------------------------------------------------


def tensor_json(t):
    t = t.detach()
    assert t.dtype is torch.float64 and bool(torch.isfinite(t).all()), "a golden must be finite float64"
    return {"shape": list(t.shape), "values": t.reshape(-1).tolist()}


def dump(value, indent=0):
    """JSON with a tensor or anything short on one line, and one line for each member of the rest."""
    line = json.dumps(value, separators=(", ", ": "), allow_nan=False, ensure_ascii=False)
    scalars = isinstance(value, list) and not any(isinstance(v, (dict, list)) for v in value)
    is_tensor = isinstance(value, dict) and set(value) == {"shape", "values"}
    if not isinstance(value, (dict, list)) or len(line) + indent <= 120 or scalars or is_tensor:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        members = [f"{json.dumps(k)}: {dump(v, indent + 1)}" for k, v in value.items()]
        return "{\n" + pad + (",\n" + pad).join(members) + "\n" + pad[1:] + "}"
    return "[\n" + pad + (",\n" + pad).join(dump(v, indent + 1) for v in value) + "\n" + pad[1:] + "]"


def write(name, cases):
    names = [case["name"] for case in cases]
    assert len(set(names)) == len(names), "case names must differ"
    text = dump(cases) + "\n"
    (HERE / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(cases)} cases, {len(text.encode()) / 1000:.0f} kB")


# --- The network -------------------------------------------------------------------------------------------------

# What torch calls each activation. RELU_AT_ZERO_ZERO is torch's own subgradient at 0.
ACTIVATIONS = {
    "ACTIVATION_LINEAR": lambda z, slope: z * 1.0,
    "ACTIVATION_RELU": lambda z, slope: F.relu(z),
    "ACTIVATION_LEAKY_RELU": lambda z, slope: F.leaky_relu(z, slope),
    "ACTIVATION_SIGMOID": lambda z, slope: torch.sigmoid(z),
    "ACTIVATION_TANH": lambda z, slope: torch.tanh(z),
    "ACTIVATION_GELU": lambda z, slope: F.gelu(z, approximate="none"),
    "ACTIVATION_SILU": lambda z, slope: F.silu(z),
}
# RELU_AT_ZERO_ONE, in an operation whose autograd derivative at 0 is the one from the right.
RIGHT_OF_ZERO = {
    "ACTIVATION_RELU": lambda z, slope: torch.where(z >= 0.0, z, 0.0 * z),
    "ACTIVATION_LEAKY_RELU": lambda z, slope: torch.where(z >= 0.0, z, slope * z),
}
KINKED = set(RIGHT_OF_ZERO)

LOSSES = {
    "LOSS_HALF_SQUARED_ERROR": "0.5 * torch.nn.functional.mse_loss(reduction='sum'), over m for the mean",
    "LOSS_MEAN_SQUARED_ERROR": "torch.nn.functional.mse_loss",
    "LOSS_CROSS_ENTROPY": "torch.nn.functional.cross_entropy",
    "LOSS_BINARY_CROSS_ENTROPY": "torch.nn.functional.binary_cross_entropy_with_logits",
}


def provenance(spec, method):
    return {"torch": TORCH, "dtype": "float64", "loss": LOSSES[spec["loss"]], "derivatives": method}


def activate(spec, layer, z):
    name, slope = layer["activation"], layer.get("leaky_relu_slope", 0.01)
    if spec["relu_at_zero"] == "RELU_AT_ZERO_ONE" and name in RIGHT_OF_ZERO:
        return RIGHT_OF_ZERO[name](z, slope)
    return ACTIVATIONS[name](z, slope)


def forward(spec, params, x):
    """zⁱ = hⁱ⁻¹ Wⁱᵀ + bⁱ, hⁱ = σ(zⁱ)."""
    zs, hs, h = [], [], x
    for layer, (weights, bias) in zip(spec["layers"], params, strict=True):
        z = F.linear(h, weights, bias)
        h = activate(spec, layer, z)
        zs.append(z)
        hs.append(h)
    return zs, hs


def loss_of(spec, f, target):
    """The loss by torch's own reduction."""
    reduction = {"REDUCTION_MEAN": "mean", "REDUCTION_SUM": "sum"}[spec["reduction"]]
    match spec["loss"]:
        case "LOSS_HALF_SQUARED_ERROR":
            half = 0.5 * F.mse_loss(f, target, reduction="sum")
            return half / f.shape[0] if reduction == "mean" else half
        case "LOSS_MEAN_SQUARED_ERROR":
            return F.mse_loss(f, target, reduction=reduction)
        case "LOSS_CROSS_ENTROPY":
            return F.cross_entropy(f, target, reduction=reduction)
        case "LOSS_BINARY_CROSS_ENTROPY":
            return F.binary_cross_entropy_with_logits(f, target, reduction=reduction)


def loss_per_sample(spec, f, target):
    """[m]; the loss is the mean of them or their sum."""
    over_entries = torch.mean if spec["reduction"] == "REDUCTION_MEAN" else torch.sum
    match spec["loss"]:
        case "LOSS_HALF_SQUARED_ERROR":
            return 0.5 * F.mse_loss(f, target, reduction="none").sum(dim=1)
        case "LOSS_MEAN_SQUARED_ERROR":
            return over_entries(F.mse_loss(f, target, reduction="none"), dim=1)
        case "LOSS_CROSS_ENTROPY":
            return F.cross_entropy(f, target, reduction="none")
        case "LOSS_BINARY_CROSS_ENTROPY":
            return over_entries(F.binary_cross_entropy_with_logits(f, target, reduction="none"), dim=1)


def network_spec(input_size, layers, loss, reduction="REDUCTION_MEAN", relu_at_zero="RELU_AT_ZERO_ZERO"):
    """`layers` holds (units, activation, bias) or (units, activation, bias, leaky_relu_slope)."""
    message = []
    for units, activation, bias, *slope in layers:
        layer = {"units": units, "activation": "ACTIVATION_" + activation, "bias": bias}
        message.append(layer | ({"leaky_relu_slope": slope[0]} if slope else {}))
    return {
        "input_size": input_size,
        "layers": message,
        "loss": "LOSS_" + loss,
        "reduction": reduction,
        "relu_at_zero": relu_at_zero,
    }


# --- Inputs ------------------------------------------------------------------------------------------------------


def normal(rng, shape, scale=1.0):
    return torch.tensor([round(rng.gauss(0.0, scale), 3) for _ in range(math.prod(shape))]).reshape(shape)


def draw_parameters(rng, spec):
    params, fan_in = [], spec["input_size"]
    for layer in spec["layers"]:
        units = layer["units"]
        weights = normal(rng, (units, fan_in), math.sqrt(2.0 / fan_in))
        params.append((weights, normal(rng, (units,), 0.3) if layer["bias"] else None))
        fan_in = units
    return params


def draw_target(rng, spec, kind, m):
    """The target as torch takes it, and the member of the case that says it."""
    width = spec["layers"][-1]["units"]
    if kind == "labels" and spec["loss"] == "LOSS_CROSS_ENTROPY":
        labels = [rng.randrange(width) for _ in range(m)]
        return torch.tensor(labels), {"labels": labels}
    if kind == "labels":
        assert width == 1, "binary labels are for one output"
        labels = [rng.randrange(2) for _ in range(m)]
        return torch.tensor(labels, dtype=torch.float64).reshape(m, 1), {"labels": labels}
    if kind == "one_hot":
        target = F.one_hot(torch.tensor([rng.randrange(width) for _ in range(m)]), width).to(torch.float64)
    elif kind == "soft":  # Sixty-fourths, so that a row sums to exactly 1.
        rows = []
        for _ in range(m):
            cuts = sorted(rng.randrange(65) for _ in range(width - 1))
            rows.append([(b - a) / 64 for a, b in zip([0, *cuts], [*cuts, 64])])
        target = torch.tensor(rows)
    elif kind == "unit":  # In [0, 1].
        target = torch.tensor([[round(rng.random(), 3) for _ in range(width)] for _ in range(m)])
    else:
        target = normal(rng, (m, width))
    return target, {"targets": tensor_json(target)}


def kink_free(spec, zs):
    """Far from the kinks, and, where there is room for both, with units on each side of them."""
    for layer, z in zip(spec["layers"], zs, strict=True):
        if layer["activation"] in KINKED:
            if bool((z.abs() < 1e-3).any()):
                return False
            if z.numel() > 1 and (bool((z > 0).all()) or bool((z < 0).all())):
                return False
    return True


def draw(name, spec, kind, m):
    """The first inputs of the name's own sequence that avoid the kinks and leave no gradient of W all zero."""
    rng = random.Random(name)
    for _ in range(1000):
        params, x = draw_parameters(rng, spec), normal(rng, (m, spec["input_size"]))
        target, said = draw_target(rng, spec, kind, m)
        for weights, _bias in params:
            weights.requires_grad_(True)
        zs, hs = forward(spec, params, x)
        grads = torch.autograd.grad(loss_of(spec, hs[-1], target), [weights for weights, _ in params])
        if kink_free(spec, zs) and all(bool(grad.any()) for grad in grads):
            return [(w.detach(), b) for w, b in params], x, target, said
    raise AssertionError(f"{name}: no inputs away from the kinks")


def parameters_json(params):
    return [{"weights": tensor_json(w), "bias": None if b is None else tensor_json(b)} for w, b in params]


def leaves(params):
    """Copies of the parameters that collect gradients."""
    return [
        (w.clone().requires_grad_(True), None if b is None else b.clone().requires_grad_(True)) for w, b in params
    ]


# --- networks.json -----------------------------------------------------------------------------------------------


def network_case(name, spec, params, x, target, said, retain="autograd, retain_grad on every z and h"):
    params, x = leaves(params), x.clone().requires_grad_(True)
    zs, hs = forward(spec, params, x)
    for kept in [*zs, *hs]:
        kept.retain_grad()
    loss, each = loss_of(spec, hs[-1], target), loss_per_sample(spec, hs[-1], target)
    together = each.mean() if spec["reduction"] == "REDUCTION_MEAN" else each.sum()
    torch.testing.assert_close(loss, together, rtol=1e-14, atol=0.0)
    loss.backward()
    return {
        "name": name,
        "provenance": provenance(spec, retain),
        "spec": spec,
        "inputs": tensor_json(x),
        **said,
        "parameters": parameters_json(params),
        "expected": {
            "loss": loss.item(),
            "loss_per_sample": tensor_json(each),
            "outputs": tensor_json(hs[-1]),
            "z": [tensor_json(z) for z in zs],
            "h": [tensor_json(h) for h in hs],
            "dz": [tensor_json(z.grad) for z in zs],
            "dh": [tensor_json(h.grad) for h in hs],
            "dx": tensor_json(x.grad),
            "dw": [tensor_json(w.grad) for w, _ in params],
            "db": [None if b is None else tensor_json(b.grad) for _, b in params],
            "delta": tensor_json(zs[-1].grad),
        },
    }


HOMEWORK = [(3, "RELU", False), (2, "RELU", False), (1, "LINEAR", False)]


def drawn_cases():
    """(name, spec, kind of target, m)."""
    half = "HALF_SQUARED_ERROR"
    for m in (1, 3, 5):
        yield f"homework_m{m}", network_spec(4, HOMEWORK, half), "real", m

    for name, hidden in {
        "linear": ("LINEAR", True),
        "relu": ("RELU", True),
        "leaky_relu": ("LEAKY_RELU", True),
        "leaky_relu_slope": ("LEAKY_RELU", True, 0.2),
        "sigmoid": ("SIGMOID", True),
        "tanh": ("TANH", True),
        "gelu": ("GELU", True),
        "silu": ("SILU", True),
    }.items():
        layers = [(5, *hidden), (3, *hidden), (2, "LINEAR", True)]
        yield f"hidden_{name}", network_spec(3, layers, half), "real", 3
        # σ′ of the last layer is part of δ.
        yield f"last_{name}", network_spec(3, [(4, "TANH", True), (2, *hidden)], "MEAN_SQUARED_ERROR"), "real", 2

    for loss, kinds in {
        half: ["real"],
        "MEAN_SQUARED_ERROR": ["real"],
        "CROSS_ENTROPY": ["labels", "one_hot", "soft"],
        "BINARY_CROSS_ENTROPY": ["unit", "labels"],
    }.items():
        for kind in kinds:
            for reduction in ("MEAN", "SUM"):
                width = 1 if (loss, kind) == ("BINARY_CROSS_ENTROPY", "labels") else 3
                layers = [(5, "TANH", True), (width, "LINEAR", True)]
                spec = network_spec(4, layers, loss, "REDUCTION_" + reduction)
                yield f"loss_{loss.lower()}_{kind}_{reduction.lower()}", spec, kind, 5

    yield "depth_1_bias", network_spec(3, [(2, "LINEAR", True)], half), "real", 3
    yield "depth_1_one_by_one", network_spec(1, [(1, "LINEAR", False)], half), "real", 1
    four = [(3, "GELU", True), (1, "SILU", False), (4, "TANH", True), (2, "LINEAR", False)]
    yield "depth_4_mixed_biases", network_spec(2, four, "MEAN_SQUARED_ERROR"), "real", 5
    five = [(5, "RELU", True), (4, "TANH", False), (4, "SIGMOID", True), (3, "LEAKY_RELU", False), (3, "LINEAR", True)]
    yield "depth_5_mixed", network_spec(3, five, "CROSS_ENTROPY"), "labels", 5
    yield "relu_m33", network_spec(2, [(6, "RELU", True), (1, "LINEAR", True)], half), "real", 33
    square = [(17, "SILU", True), (17, "TANH", False), (2, "LINEAR", True)]
    yield "width_17_to_17", network_spec(3, square, half), "real", 2
    yield "fan_in_70", network_spec(70, [(3, "TANH", True), (2, "LINEAR", True)], half), "real", 5
    yield "fan_in_130", network_spec(2, [(130, "GELU", True), (1, "LINEAR", False)], half), "real", 2
    yield "fan_in_70_inside", network_spec(2, [(70, "RELU", True), (3, "LINEAR", True)], "CROSS_ENTROPY"), "labels", 2
    both = [(130, "TANH", False), (2, "RELU", True), (1, "LINEAR", True)]
    yield "fan_in_130_first_of_3", network_spec(1, both, "BINARY_CROSS_ENTROPY"), "labels", 2
    yield "classes_m33", network_spec(2, [(4, "TANH", True), (3, "LINEAR", True)], "CROSS_ENTROPY"), "labels", 33


def zero_case(name, relu_at_zero):
    """z is exactly 0 in the first unit of both hidden layers: ReLU, then leaky ReLU with slope 0.25."""
    layers = [(3, "RELU", False), (2, "LEAKY_RELU", False, 0.25), (1, "LINEAR", False)]
    spec = network_spec(2, layers, "HALF_SQUARED_ERROR", relu_at_zero=relu_at_zero)
    params = [
        (torch.tensor([[1.0, -1.0], [0.5, 0.25], [-1.0, 2.0]]), None),
        (torch.tensor([[2.0, 1.0, -0.75], [-0.5, 1.0, -1.0]]), None),
        (torch.tensor([[1.5, -0.5]]), None),
    ]
    x, target = torch.tensor([[1.0, 1.0], [-2.0, 1.0]]), torch.tensor([[0.5], [-1.0]])
    zs, _ = forward(spec, params, x)
    assert zs[0][0, 0] == 0.0 and zs[0][1, 1] < 0.0 and zs[1][0, 0] == 0.0, "the kinks must be met exactly"
    how = "autograd, retain_grad on every z and h"
    if relu_at_zero == "RELU_AT_ZERO_ONE":
        how += "; both as where(z >= 0, z, slope * z), slope 0 for relu, whose autograd derivative at 0 is 1"
    return network_case(name, spec, params, x, target, {"targets": tensor_json(target)}, how)


def extreme_case(name, loss, reduction, said, target):
    """Logits of ±800, where exp overflows and a naive loss is not finite."""
    width = target.shape[1] if target.dim() == 2 else 3
    spec = network_spec(2, [(width, "LINEAR", False)], loss, reduction)
    weights = torch.tensor([[800.0, 0.0], [0.0, 800.0], [-800.0, 1.0]])[:width]
    x = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    return network_case(name, spec, [(weights, None)], x, target, said)


def extreme_cases():
    labels = [1, 0, 2, 0]
    soft = torch.tensor([[0.25, 0.5, 0.25], [1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.125, 0.125, 0.75]])
    unit = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.25], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    bits = [0, 1, 1, 0]
    column = torch.tensor(bits, dtype=torch.float64).reshape(4, 1)
    for reduction in ("MEAN", "SUM"):
        full, low = "REDUCTION_" + reduction, reduction.lower()
        for name, loss, said, target in [
            ("cross_entropy_labels", "CROSS_ENTROPY", {"labels": labels}, torch.tensor(labels)),
            ("cross_entropy_soft", "CROSS_ENTROPY", {"targets": tensor_json(soft)}, soft),
            ("binary_cross_entropy_targets", "BINARY_CROSS_ENTROPY", {"targets": tensor_json(unit)}, unit),
            ("binary_cross_entropy_labels", "BINARY_CROSS_ENTROPY", {"labels": bits}, column),
        ]:
            yield extreme_case(f"extreme_{name}_{low}", loss, full, said, target)


def networks():
    cases = [network_case(name, spec, *draw(name, spec, kind, m)) for name, spec, kind, m in drawn_cases()]
    cases.append(zero_case("relu_at_zero_zero", "RELU_AT_ZERO_ZERO"))
    cases.append(zero_case("relu_at_zero_one", "RELU_AT_ZERO_ONE"))
    return cases + list(extreme_cases())


# --- optimizers.json ---------------------------------------------------------------------------------------------

STEPS = 10


def build_optimizer(name, message, tensors):
    """torch's optimizer for a message of the protocol, whose every default is written out here."""
    lr, decay = message["learning_rate"], message.get("weight_decay", 0.0)
    match name:
        case "sgd":
            extra = {"momentum": message.get("momentum", 0.0), "nesterov": message.get("nesterov", False)}
            return torch.optim.SGD(tensors, lr=lr, weight_decay=decay, dampening=0.0, **extra)
        case "adam" | "adamw":
            kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
            betas = (message.get("beta1", 0.9), message.get("beta2", 0.999))
            decay = message.get("weight_decay", 0.0 if name == "adam" else 0.01)
            return kind(tensors, lr=lr, betas=betas, eps=message.get("epsilon", 1e-8), weight_decay=decay)
        case "rmsprop":
            extra = {"alpha": message.get("alpha", 0.99), "eps": message.get("epsilon", 1e-8)}
            extra |= {"momentum": message.get("momentum", 0.0), "centered": False}
            return torch.optim.RMSprop(tensors, lr=lr, weight_decay=decay, **extra)


def schedule_factor(schedule, t):
    """The factor of the learning rate at step t, counted from 1."""
    warmup = schedule.get("warmup_steps", 0)
    if t <= warmup:
        return t / warmup
    s = t - warmup - 1  # Steps since the end of the warm-up: 0 at the first.
    if "step" in schedule:
        return schedule["step"].get("gamma", 0.1) ** (s // schedule["step"]["every_steps"])
    if "cosine" in schedule:
        total, final = schedule["cosine"]["total_steps"], schedule["cosine"].get("final_factor", 0.0)
        return final + (1.0 - final) * (1.0 + math.cos(math.pi * min(s, total) / total)) / 2.0
    return 1.0


def clip(tensors, clip_norm):
    """g *= clip_norm / ‖g‖ where ‖g‖ > clip_norm; exactly, without the 1e-6 of torch's clip_grad_norm_.
    Returns ‖g‖ of all tensors together before clipping."""
    norm = torch.linalg.vector_norm(torch.cat([t.grad.reshape(-1) for t in tensors])).item()
    if clip_norm is not None and norm > clip_norm:
        for t in tensors:
            t.grad.mul_(clip_norm / norm)
    return norm


def optimizer_case(name, optimizer, schedule=None, clip_norm=None):
    layers = [(4, "TANH", True), (2, "LINEAR", True)]
    spec = network_spec(3, layers, "MEAN_SQUARED_ERROR")
    initial, x, target, said = draw("optimizers", spec, "real", 4)
    spec |= optimizer
    spec |= {} if schedule is None else {"schedule": schedule}
    spec |= {} if clip_norm is None else {"clip_norm": clip_norm}

    params = leaves(initial)
    tensors = [t for pair in params for t in pair]
    (kind, message), = optimizer.items()
    update = build_optimizer(kind, message, tensors)
    rates = torch.optim.lr_scheduler.LambdaLR(update, lambda done: schedule_factor(schedule or {}, done + 1))
    steps = []
    for step in range(1, STEPS + 1):
        update.zero_grad()
        loss = loss_of(spec, forward(spec, params, x)[1][-1], target)
        loss.backward()
        norm, rate = clip(tensors, clip_norm), update.param_groups[0]["lr"]
        update.step()
        rates.step()
        flat = torch.cat([t.detach().reshape(-1) for t in tensors]).tolist()
        assert all(map(math.isfinite, flat))
        steps.append(
            {"step": step, "loss": loss.item(), "gradient_norm": norm, "learning_rate": rate, "parameters": flat}
        )
    norms = [s["gradient_norm"] for s in steps]
    assert clip_norm is None or min(norms) < clip_norm < max(norms), f"{name}: clip some steps and not others: {norms}"
    return {
        "name": name,
        "provenance": provenance(spec, "autograd") | {"update": f"torch.optim.{type(update).__name__}"},
        "spec": spec,
        "inputs": tensor_json(x),
        **said,
        "parameters": parameters_json(initial),
        "expected": steps,
    }


def check_schedules():
    """The factors above are torch's own schedulers, where torch has one."""

    def rates(make):
        update = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, seen = make(update), []
        for _ in range(STEPS):
            seen.append(update.param_groups[0]["lr"])
            update.step()
            scheduler.step()
        return seen

    kinds = torch.optim.lr_scheduler
    for schedule, make in [
        ({"step": {"every_steps": 3, "gamma": 0.5}}, lambda o: kinds.StepLR(o, 3, 0.5)),
        (
            {"cosine": {"total_steps": STEPS, "final_factor": 0.1}},
            lambda o: kinds.CosineAnnealingLR(o, STEPS, eta_min=0.1),
        ),
        ({"warmup_steps": 3}, lambda o: kinds.LinearLR(o, start_factor=1 / 3, total_iters=2)),
    ]:
        ours = [schedule_factor(schedule, t) for t in range(1, STEPS + 1)]
        assert all(math.isclose(a, b, rel_tol=1e-12) for a, b in zip(ours, rates(make), strict=True)), schedule


def optimizers():
    check_schedules()
    sgd = {"sgd": {"learning_rate": 0.1}}
    heavy = {"sgd": {"learning_rate": 0.1, "momentum": 0.9}}
    adam = {"adam": {"learning_rate": 0.01}}
    step = {"every_steps": 2, "gamma": 0.5}
    cosine = {"total_steps": 5, "final_factor": 0.1}
    return [
        optimizer_case("sgd", sgd),
        optimizer_case("sgd_momentum", heavy),
        optimizer_case("sgd_nesterov", {"sgd": heavy["sgd"] | {"nesterov": True}}),
        optimizer_case("sgd_weight_decay", {"sgd": sgd["sgd"] | {"weight_decay": 0.05}}),
        optimizer_case("sgd_all", {"sgd": heavy["sgd"] | {"nesterov": True, "weight_decay": 0.05}}),
        optimizer_case("adam", adam),
        optimizer_case("adam_weight_decay", {"adam": adam["adam"] | {"weight_decay": 0.05}}),
        optimizer_case("adamw", {"adamw": {"learning_rate": 0.01}}),
        optimizer_case(
            "adamw_all",
            {"adamw": {"learning_rate": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1}},
        ),
        optimizer_case("rmsprop", {"rmsprop": {"learning_rate": 0.01}}),
        optimizer_case("rmsprop_momentum", {"rmsprop": {"learning_rate": 0.005, "momentum": 0.9}}),
        optimizer_case(
            "rmsprop_all",
            {
                "rmsprop": {
                    "learning_rate": 0.005,
                    "alpha": 0.9,
                    "epsilon": 1e-4,
                    "momentum": 0.5,
                    "weight_decay": 0.05,
                }
            },
        ),
        optimizer_case("clip_sgd", sgd, clip_norm=2.5),
        optimizer_case("clip_adam", adam, clip_norm=2.9),
        optimizer_case("schedule_warmup_constant", sgd, {"warmup_steps": 3, "constant": {}}),
        optimizer_case("schedule_step", sgd, {"step": step}),
        optimizer_case("schedule_warmup_step", adam, {"warmup_steps": 3, "step": step}),
        optimizer_case("schedule_cosine", sgd, {"cosine": {"total_steps": 7}}),
        optimizer_case("schedule_warmup_cosine", heavy, {"warmup_steps": 3, "cosine": cosine}),
    ]


# --- jacobians.json ----------------------------------------------------------------------------------------------


def jacobian_case(name, spec, m):
    params, x, target, said = draw(name, spec, "real", m)
    params, x = leaves(params), x.clone().requires_grad_(True)
    zs, hs = forward(spec, params, x)
    loss = loss_of(spec, hs[-1], target)

    nodes = {"x": x}
    tops = {"loss": loss}
    for i, ((weights, bias), z, h) in enumerate(zip(params, zs, hs, strict=True), start=1):
        tops |= {f"z{i}": z, f"h{i}": h}
        nodes |= {f"W{i}": weights} | ({} if bias is None else {f"b{i}": bias}) | {f"z{i}": z, f"h{i}": h}

    jacobians = []
    for of, top in tops.items():
        for by, node in nodes.items():
            if of == by:
                continue
            rows = []
            for entry in top.reshape(-1):
                (row,) = torch.autograd.grad(entry, node, retain_graph=True, allow_unused=True)
                rows.append(row)
            if all(row is None for row in rows):  # No path leads from `by` to `of`.
                continue
            matrix = torch.stack([row.reshape(-1) for row in rows])
            jacobians.append({"of": of, "by": by, "jacobian": tensor_json(matrix)})
    return {
        "name": name,
        "provenance": provenance(spec, "autograd.grad, a row for each entry of the numerator"),
        "spec": spec,
        "inputs": tensor_json(x),
        **said,
        "parameters": parameters_json(params),
        "expected": {
            "loss": loss.item(),
            "z": [tensor_json(z) for z in zs],
            "h": [tensor_json(h) for h in hs],
            "jacobians": jacobians,
        },
    }


def jacobians():
    tanh = [(3, "TANH", True), (2, "TANH", True), (2, "LINEAR", True)]
    return [
        jacobian_case("tanh_4_3_2_2", network_spec(4, tanh, "HALF_SQUARED_ERROR"), 2),
        jacobian_case("homework_4_3_2_1", network_spec(4, HOMEWORK, "HALF_SQUARED_ERROR"), 2),
    ]


if __name__ == "__main__":
    write("networks.json", networks())
    write("optimizers.json", optimizers())
    write("jacobians.json", jacobians())
