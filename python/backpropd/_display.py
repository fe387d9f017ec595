"""Networks, arrays and reports as HTML, for notebooks. No script, and no colour without a sign."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import Array

if TYPE_CHECKING:
    from ._grading import GradientsReport, Report, Result, TensorResult
    from ._hand_in import ClassReport
    from ._history import History
    from ._pass import Pass
    from ._spec import Spec

_ROWS, _COLUMNS = 12, 12

_RIGHT, _WRONG = "#1a7f37", "#b3261e"
_HATCH = "background:repeating-linear-gradient(45deg,transparent 0 4px,rgba(128,128,128,.35) 4px 6px);"
_CELL = "text-align:right;font-variant-numeric:tabular-nums;padding:1px 6px;"


def _number(value: Any) -> str:
    text = f"{float(value):.4g}"
    return escape(text.replace("-", "−"))


def table(name: str, array: Array, *, masked: Array | None = None, right: Array | None = None) -> str:
    """A table of an array of one or two axes: masked entries are hatched, wrong ones have a cross and a colour."""
    rows = np.atleast_2d(array)
    head = f"<b>{escape(name)}</b> <small>{escape(' × '.join(map(str, array.shape)))}</small>"
    lines = []
    for i, row in enumerate(rows[:_ROWS]):
        cells = [_cell(value, _at(masked, i, j), _at(right, i, j)) for j, value in enumerate(row[:_COLUMNS])]
        if rows.shape[1] > _COLUMNS:
            cells.append("<td>…</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    if len(rows) > _ROWS:
        lines.append(f"<tr><td>… {len(rows) - _ROWS} more rows</td></tr>")
    box = "display:inline-block;vertical-align:top;margin:4px 12px 4px 0"
    return f'<div style="{box}">{head}<table>{"".join(lines)}</table></div>'


def _at(grid: Array | None, row: int, column: int) -> bool | None:
    if grid is None:
        return None
    flags = np.atleast_2d(grid)
    return bool(flags[row, column]) if row < flags.shape[0] and column < flags.shape[1] else None


def _cell(value: Any, is_masked: bool | None, is_right: bool | None) -> str:
    text, style = _number(value), _CELL
    title = ""
    if is_masked:
        style += _HATCH
        title = ' title="z &lt; 0: masked"'
    if is_right is False:
        text, style = f"✗ {text}", f"{style}color:{_WRONG};"
    elif is_right:
        text, style = f"✓ {text}", f"{style}color:{_RIGHT};"
    return f'<td style="{style}"{title}>{text}</td>'


def layers_html(name: str, layers: Mapping[int, Array]) -> str:
    """A table for each layer."""
    return "".join(table(f"{name}[{layer}]", layers[layer]) for layer in layers)


def gradients_html(quantities: Pass, spec: Spec) -> str:
    """A table for each tensor of a pass; where a unit with a kink is dead, z, h, dh and dz are hatched."""
    parts = [f"<div>loss {_number(quantities.loss)}, step {quantities.step}</div>"]
    masks = _masks(quantities, spec)
    for name in quantities.included:
        value = getattr(quantities, name)
        if isinstance(value, np.ndarray):
            parts.append(table(name, value))
            continue
        tables = []
        for layer in value:
            masked = masks.get(layer) if name in ("z", "h", "dh", "dz") else None
            tables.append(table(f"{name}[{layer}]", value[layer], masked=masked))
        parts.append(f"<div>{''.join(tables)}</div>")
    return "".join(parts)


def _masks(quantities: Pass, spec: Spec) -> dict[int, Array]:
    """Where z is on the side of the kink on which the slope is 0."""
    if "z" not in quantities.included:
        return {}
    found = {}
    for number, layer in enumerate(spec.layers, start=1):
        if layer.activation == "relu":
            z = quantities.z[number]
            found[number] = z < 0 if spec.relu_at_zero else z <= 0
    return found


def network_html(name: str, spec: Spec) -> str:
    """The layers of a network."""
    lines = [f"<tr><td>0</td><td>{spec.input_size}</td><td>inputs</td><td></td><td></td></tr>"]
    before = spec.input_size
    for number, layer in enumerate(spec.layers, start=1):
        parameters = before * layer.units + (layer.units if layer.bias else 0)
        before = layer.units
        cells = (number, layer.units, layer.activation, "yes" if layer.bias else "no", parameters)
        lines.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
    head = "<tr><th>layer</th><th>units</th><th>activation</th><th>bias</th><th>parameters</th></tr>"
    foot = f"{spec.loss}, {spec.reduction}, {type(spec.optimizer).__name__}, {spec.dtype}"
    return f"<div><b>{escape(name)}</b><table>{head}{''.join(lines)}</table><small>{escape(foot)}</small></div>"


def gradients_report_html(report: GradientsReport) -> str:
    """A line for each tensor, with the grid of its entries."""
    return "".join(_tensor_html(result) for result in report.values())


def _tensor_html(result: TensorResult) -> str:
    mark, colour = ("✓", _RIGHT) if result.is_right else ("✗", _WRONG)
    mistake = f" <code>{escape(result.mistake)}</code>" if result.mistake else ""
    grid = "" if result.grid is None or result.is_right else _grid_html(result.grid)
    head = f'<span style="color:{colour}">{mark}</span> <b>{escape(result.symbol)}</b>{mistake}'
    return f"<div>{head} {escape(result.message)}{grid}</div>"


def _grid_html(grid: Array) -> str:
    lines = []
    for row in np.atleast_2d(grid)[:_ROWS]:
        cells = [f'<td style="color:{_RIGHT if right else _WRONG}">{"✓" if right else "✗"}</td>' for right in row[:_COLUMNS]]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


_MARKS = {"correct": ("✓", _RIGHT), "partial": ("◐", "#9a6700"), "incorrect": ("✗", _WRONG), "invalid": ("?", "#57606a")}


def result_html(result: Result) -> str:
    """One answer: the verdict, what was understood, the message, hints."""
    mark, colour = _MARKS.get(result.verdict, ("", ""))
    understood = f"<div>$${escape(result.understood)}$$</div>" if result.understood else ""
    hints = "".join(f"<li>{escape(hint)}</li>" for hint in result.hints)
    points = f"{result.points:g} of {result.max_points:g}"
    head = f'<span style="color:{colour}">{mark} {escape(result.verdict)}</span>'
    grid = "" if result.grid is None or result.is_right else _grid_html(result.grid)
    return (
        f"<div><b>{escape(result.id)}</b> {head} {points} <code>{escape(result.mistake)}</code>{understood}"
        f"{escape(result.message)}{grid}{f'<ul>{hints}</ul>' if hints else ''}</div>"
    )


def report_html(report: Report) -> str:
    """The answers of a submission."""
    lines = []
    for result in report.values():
        if result.id in report.unanswered:
            continue
        mark, colour = _MARKS.get(result.verdict, ("", ""))
        cells = (
            escape(result.id),
            f'<span style="color:{colour}">{mark} {escape(result.verdict)}</span>',
            f"{result.points:g} of {result.max_points:g}",
            f"<code>{escape(result.mistake)}</code>",
            escape(result.message),
        )
        lines.append("<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>")
    head = f"<b>{escape(report.assignment)}</b>: {report.score:g} of {report.max_score:g} points"
    remarks = "".join(f"<div>{escape(remark)}</div>" for remark in report.remarks())
    return f"<div>{head}<table>{''.join(lines)}</table>{remarks}</div>"


def class_html(report: ClassReport) -> str:
    """The scores of a class."""
    lines = []
    for entry in report.values():
        score = f"{entry.report.score:g}" if entry.report else "✗"
        lines.append(f"<tr><td>{escape(entry.student)}</td><td>{score}</td><td>{escape(entry.problem)}</td></tr>")
    return f"<div>{escape(repr(report))}<table>{''.join(lines)}</table></div>"


def history_html(history: History) -> str:
    """The loss as a small curve."""
    losses = history.losses
    if len(losses) < 2:
        return f"<code>{escape(repr(history))}</code>"
    shown = losses[np.linspace(0, len(losses) - 1, min(len(losses), 300)).astype(int)]
    shown = np.nan_to_num(shown, nan=0.0, posinf=np.finfo(float).max, neginf=0.0)
    low, high = float(shown.min()), float(shown.max())
    span = (high - low) or 1.0
    points = " ".join(
        f"{300 * i / (len(shown) - 1):.1f},{60 - 56 * ((float(loss) - low) / span):.1f}" for i, loss in enumerate(shown)
    )
    curve = f'<polyline points="{points}" fill="none" stroke="currentColor"/>'
    label = escape(repr(history))
    return f'<div>{label}<br><svg width="300" height="64" role="img" aria-label="{label}">{curve}</svg></div>'
