"""Writes docs/python_api.md, the reference of the package, from its docstrings.

    python python/tools/api_page.py

A test holds the page against this. It needs griffe, which reads the modules without importing them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/python_api.md"

HEAD = """# Python reference

<!-- Written by `python python/tools/api_page.py`, from the docstrings of python/backpropd. Do not edit. -->

Every public name of the package `backpropd`, imported as `bp`. [Python](python.md) is the guide. Layers count from 1, as in W¹;
samples are rows; m is the number of samples, nᵢ the number of units of layer i. `backpropd.aio` has the same names for asyncio:
its calls are awaited, and its runs and watches are read by `async for`.
"""

GROUPS = {
    "Where everything begins": ("local", "connect"),
    "A connection": ("Lab",),
    "A network": ("Network",),
    "The backward pass": ("Gradients", "Layers", "Explanation", "GradientCheck"),
    "Training": ("Run", "RunInfo", "Step", "HeldOut", "Outcome", "History", "Change", "Applied", "Evaluation"),
    "What a network is": (
        "Spec",
        "Layer",
        "SGD",
        "Adam",
        "AdamW",
        "RMSProp",
        "ConstantSchedule",
        "StepSchedule",
        "CosineSchedule",
    ),
    "Data": ("Dataset", "Rows"),
    "Grading": (
        "grade",
        "grade_class",
        "grade_gradients",
        "load_assignment",
        "Report",
        "Result",
        "ClassReport",
        "Submission",
        "GradientsReport",
        "TensorResult",
        "Assignment",
        "Question",
    ),
    "The server and what is on it": ("ServerInfo", "SessionInfo", "ModelInfo", "RunInfo"),
}
"""The names of each chapter. Exceptions have a chapter of their own, and names that none of these has come last."""

MODULES = {
    "Estimators of scikit-learn: backpropd.sklearn": ("sklearn", ("MLPClassifier", "MLPRegressor")),
    "PyTorch: backpropd.torch": ("torch", ("to_module", "from_module", "save_module")),
    "Ray: backpropd.ray": ("ray", ("grade", "report_text", "fit")),
    "A picture in a notebook: backpropd.widget": ("widget", ("Picture",)),
}
"""Chapters of modules that are imported by themselves."""

LEFT_OUT = {"aio"}
"""It is described in the head of the page."""


def cell(text: str) -> str:
    """Text in a cell of a table: one line, without characters that Markdown would take for its own."""
    parts = " ".join(text.split()).split("`")
    for index in range(len(parts)):
        if index % 2 == 0:
            parts[index] = re.sub(r"([*\[\]])", r"\\\1", parts[index]).replace("<", "&lt;")
        parts[index] = parts[index].replace("|", "\\|")
    return "`".join(parts)


def code(expression: object) -> str:
    """An annotation as code in a table."""
    text = str(expression).replace("|", "\\|")
    return f"`{text}`" if text else ""


def default(parameter: griffe.Parameter) -> str:
    """The default of a parameter, with the value of a constant in place of its name."""
    if not isinstance(parameter.default, griffe.ExprName):
        return str(parameter.default or "")
    constant = parameter.default.resolved
    return str(constant.value) if isinstance(constant, (griffe.Alias, griffe.Attribute)) else str(parameter.default)


def prose(text: str) -> str:
    """Text between tables: a line for each paragraph and for each item of a list."""
    paragraphs = (re.split(r"\n(?=- )", paragraph) for paragraph in text.strip().split("\n\n"))
    return "\n\n".join("\n".join(" ".join(item.split()) for item in paragraph) for paragraph in paragraphs)


class Docstring:
    """The parts of a docstring."""

    def __init__(self, thing: griffe.Object | griffe.Alias) -> None:
        self.text = ""
        self.arguments: dict[str, str] = {}
        self.returns = ""
        self.raises: list[tuple[str, str]] = []
        sections = thing.docstring.parse("google", warnings=False) if thing.docstring else []
        for section in sections:
            if section.kind is griffe.DocstringSectionKind.text:
                self.text = prose(f"{self.text}\n\n{section.value}")
            elif section.kind is griffe.DocstringSectionKind.parameters:
                self.arguments = {argument.name: argument.description for argument in section.value}
            elif section.kind is griffe.DocstringSectionKind.returns:
                self.returns = " ".join(value.description for value in section.value)
            elif section.kind is griffe.DocstringSectionKind.raises:
                self.raises = [(str(error.annotation), error.description) for error in section.value]


def parameters(function: griffe.Function) -> list[griffe.Parameter]:
    """The parameters that a caller gives."""
    return [parameter for parameter in function.parameters if parameter.name not in ("self", "cls")]


def signature(function: griffe.Function) -> str:
    """`model(sizes, *, seed=0, …) → Network`: parameter with its default."""
    words: list[str] = []
    only_by_name = False
    for parameter in parameters(function):
        kind = parameter.kind
        if kind is griffe.ParameterKind.keyword_only and not only_by_name:
            words.append("*")
            only_by_name = True
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(kind, "")
        only_by_name |= star == "*"
        given = "" if parameter.default is None or star else f"={default(parameter)}"
        words.append(f"{star}{parameter.name}{given}")
    returned = f" → {function.returns}" if function.returns is not None and str(function.returns) != "None" else ""
    return f"`{function.name}({', '.join(words)}){returned}`"


def function_lines(function: griffe.Function, heading: str) -> Iterator[str]:
    """A function or a method."""
    said = Docstring(function)
    yield f"\n{heading}\n\n{signature(function)}\n\n{said.text}"
    if said.arguments:
        yield "\n| Argument | Type | Default | Meaning |\n|---|---|---|---|"
        for parameter in parameters(function):
            meaning = cell(said.arguments.get(parameter.name, ""))
            yield f"| `{parameter.name}` | {code(parameter.annotation or '')} | {code(default(parameter))} | {meaning} |"
    if said.returns:
        yield f"\nReturns: {prose(said.returns)}"
    if said.raises:
        yield "\nRaises:\n"
        yield from (f"- `{kind}`: {prose(why)}" for kind, why in said.raises)


def is_public(name: str) -> bool:
    return not name.startswith("_")


def members(of: griffe.Class) -> Iterator[griffe.Object | griffe.Alias]:
    """The public members, those of base classes in this package first, in the order of the source."""
    own = {name: member for name, member in of.members.items() if is_public(name)}
    inherited = {name: member for name, member in of.inherited_members.items() if is_public(name) and name not in own}
    return iter((*inherited.values(), *own.values()))


def class_lines(of: griffe.Class, name: str) -> Iterator[str]:
    """A class: its text, a table of its attributes, its methods."""
    yield f"\n### {name}\n\n{Docstring(of).text}"
    rows: list[str] = []
    methods: list[griffe.Function] = []
    for member in members(of):
        if member.is_attribute:
            said = cell(Docstring(member).text)
            # Fields say it by their name and type; what an initializer merely stores is among its arguments.
            if said or member.annotation:
                rows.append(f"| `{member.name}` | {code(member.annotation or '')} | {said} |")
        elif member.is_function:
            methods.append(member)
    if rows:
        yield "\n| Attribute | Type | Meaning |\n|---|---|---|"
        yield from rows
    for method in methods:
        yield from function_lines(method, f"#### {name}.{method.name}")


def is_exception(of: griffe.Object | griffe.Alias) -> bool:
    """Whether it is an error that a call raises."""
    if not of.is_class:
        return False
    bases = [str(base) for base in of.bases]
    return any(base in ("Exception", "AssertionError") for base in bases) or any(map(is_exception, of.mro()))


def exception_lines(package: griffe.Module, names: list[str]) -> Iterator[str]:
    """The exceptions: their base with its attributes, then a table."""
    yield "\n## Exceptions"
    yield from class_lines(package["Error"], "Error")
    yield "\nThe others:\n\n| Exception | Is also | Meaning |\n|---|---|---|"
    for name in names:
        if name != "Error":
            bases = ", ".join(f"`{base}`" for base in package[name].bases)
            yield f"| `{name}` | {bases} | {cell(Docstring(package[name]).text)} |"


def page() -> str:
    """The text of the page."""
    loader = griffe.GriffeLoader(search_paths=[str(ROOT / "python")])
    package = loader.load("backpropd")
    loader.expand_wildcards(package)
    loader.resolve_aliases()
    public = [str(name) for name in package.exports or [] if str(name) not in LEFT_OUT]
    exceptions = [name for name in public if is_exception(package[name])]
    grouped = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in public if name not in grouped and name not in exceptions)
    chapters = {**GROUPS, **({"More": others} if others else {})}
    lines = [HEAD.rstrip("\n")]
    for title, names in chapters.items():
        lines.append(f"\n## {title}")
        for name in names:
            thing = package[name]
            lines.extend(function_lines(thing, f"### {name}") if thing.is_function else class_lines(thing, name))
    for title, (module, names) in MODULES.items():
        lines.append(f"\n## {title}")
        for name in names:
            thing = package[module][name]
            # Other names are the same words: `grade` is there twice.
            heading = f"### {module}.{name}"
            lines.extend(function_lines(thing, heading) if thing.is_function else class_lines(thing, name))
    lines.extend(exception_lines(package, exceptions))
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
