"""Answers in numpy, executed by numpy: `numpy_answers.py READ_VALUES FILE…`.

READ_VALUES (the example `read_values` of crates/grader) prints networks, and the value that the grader reads from each
answer on them. The answer's own code, executed on the same networks, must give that value with that shape; where numpy
raises an error, the grader must find no value. Files called torch.toml run with torch, and fail where it is missing.
"""

import ast
import inspect
import json
import re
import subprocess
import sys
import warnings

import numpy as np

try:
    import torch
except ImportError:
    torch = None
else:
    # Numbers and arrays that an answer makes have the precision of the network.
    torch.set_default_dtype(torch.float64)

PROMPT = re.compile(r"^ *(In \[\d*\]:|\.\.\.:|>>>) ?", re.MULTILINE)

warnings.filterwarnings("ignore")


def namespace(net, argument, array):
    """The names of the course, with `array` to make arrays of lists."""
    values = {name: np.array(net[name]) for name in ("W1", "W2", "W3", "x", "y")}
    x, y, W1, W2, W3 = (values[name] for name in ("x", "y", "W1", "W2", "W3"))
    m = len(x)
    z1 = x @ W1.T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W2.T
    h2 = np.maximum(z2, 0)
    f = h2 @ W3.T
    delta = (f - y) / m
    dh2 = delta @ W3
    dh1 = (dh2 * (z2 > 0)) @ W2
    values.update(z1=z1, h1=h1, z2=z2, h2=h2, f=f, delta=delta, dh2=dh2, dh1=dh1)
    names = {name: array(value) for name, value in values.items()}
    x, f = names["x"], names["f"]
    names.update(z3=f, h3=f, f_x=f, out=f, pred=f, y_hat=f, yhat=f, h0=x, X=x)
    names.update(m=m, n=m, N=m, batch_size=m, n0=4, n1=3, n2=2, n3=1)
    for letter, first in (("W", 1), ("h", 0), ("z", 1)):
        names[letter] = {layer: names[f"{letter}{layer}"] for layer in range(first, 4)}
    for name in ("relu_prime", "drelu", "d_relu", "relu_grad", "relu_derivative", "sigma_prime"):
        names[name] = lambda z: np.where(np.asarray(z) >= 0, 1.0, 0.0)
    names["relu"] = names["sigma"] = lambda z: np.maximum(z, 0)
    names.update(np=np, numpy=np, torch=torch)
    if argument:
        names["x"] = names["z"] = array(np.float64(net["argument"][0][0]))
    return names


def is_text(node):
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def run(code, names, argument):
    """The value of the last statement, as a notebook shows it."""
    value = None

    def evaluate(node):
        return eval(compile(ast.Expression(node), "answer", "eval"), names)

    for statement in ast.parse(PROMPT.sub("", code).strip("\n")).body:
        if isinstance(statement, ast.Return):
            return evaluate(statement.value)
        if isinstance(statement, ast.Expr):
            node = statement.value
            is_print = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
            if is_print:
                shown = [part for part in node.args if not is_text(part)]
                if not shown:
                    continue
                node = shown[-1]
            if not is_text(node):
                result = evaluate(node)
                # `rows.append(…)` is done for its effect.
                value = value if result is None else result
            continue
        exec(compile(ast.Module([statement], []), "answer", "exec"), names)
        last = statement
        while isinstance(last, (ast.For, ast.If, ast.With)):
            last = last.body[-1]
        if isinstance(last, ast.FunctionDef):
            value = names[last.name]
            continue
        target = last.targets[-1] if isinstance(last, ast.Assign) else getattr(last, "target", None)
        while isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            value = names[target.id]
    if inspect.isfunction(value):
        parameters = list(inspect.signature(value).parameters)
        value = value(*[names["x" if argument else parameter] for parameter in parameters])
    return value


def differs(value, read):
    """How a value differs from what the grader read; None if it does not."""
    value = np.asarray(value, dtype=float)
    read = np.array(read)
    wanted = {0: (1, 1), 1: None, 2: value.shape}.get(value.ndim)
    if value.ndim > 2:
        return f"numpy has {value.ndim} axes"
    if wanted is not None and wanted != read.shape:
        return f"numpy has the shape {value.shape}, the grader {read.shape}"
    if value.ndim == 1 and (1 not in read.shape or value.size != read.size):
        return f"numpy has the shape {value.shape}, the grader {read.shape}"
    if not np.allclose(value.ravel(), read.ravel(), rtol=1e-9, atol=1e-12):
        return f"numpy has {value.tolist()}, the grader {read.tolist()}"
    return None


def main():
    read = json.loads(subprocess.run(sys.argv[1:], check=True, capture_output=True).stdout)
    faults, count, mathematics = [], 0, 0
    if torch is None and any(file.endswith("torch.toml") for file in sys.argv[2:]):
        sys.exit("torch is missing: apt-get install --no-install-recommends python3-torch")
    for answer in read["answers"]:
        question, code = answer["question"], answer["answer"]
        uses_torch = answer["file"].endswith("torch.toml")
        if any("mathematics" in value for value in answer["values"]):
            mathematics += 1
            if uses_torch:
                faults.append(f"{question}: {code}\n    read as mathematics, so that torch has no say")
            continue
        array = (lambda value: torch.tensor(value)) if uses_torch else (lambda value: np.array(value))
        argument = question == "1.6"
        # j - 1 as an index says that j counts from 1.
        first = 1 if "j-1" in code.replace(" ", "") or "i-1" in code.replace(" ", "") else 0
        networks = read["networks"][question]
        each = max(1, len(answer["values"]) // len(networks))
        count += 1
        for at, value in enumerate(answer["values"]):
            if "letters" not in value:
                if "/right/" in answer["file"]:
                    faults.append(f"{question}: {code}\n    not read: {value['error']}")
                break
            names = namespace(networks[at // each], argument, array)
            names.update({letter: number - 1 + first for letter, number in value["letters"].items()})
            try:
                result = run(code, names, argument)
            except Exception as error:  # Whatever the code does wrong.
                if "value" in value:
                    faults.append(f"{question}: {code}\n    numpy: {error!r}, the grader: {value['value']}")
                    break
                continue
            fault = value.get("error") or differs(result, value["value"])
            if fault:
                faults.append(f"{question}: {code}\n    {fault}")
                break
    print("\n".join(faults))
    print(f"{count} answers executed, {mathematics} are mathematics, {len(faults)} differ")
    sys.exit(bool(faults))


main()
