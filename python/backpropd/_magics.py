r"""Magics for notebooks: `%load_ext backpropd`, and then a cell is an answer.

```
%backprop_assignment hw-backprop

%%backprop_answer 1.11
\delta (W^3 \odot (z^2 \geq 0))^\top h^1
```
"""

from __future__ import annotations

import difflib
import shlex
from html import escape
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from ._display import result_html
from ._entry import grade, local
from ._errors import Error
from ._grading import Assignment, Result
from ._hand_in import is_file, load_assignment
from ._lab import Lab

_CHOOSE = "%backprop_assignment NAME, such as hw-backprop, or %backprop_assignment FILE.toml"

_REVEALS = ("verdict", "mistake", "hints", "reference")


class GradedAnswer:
    """A cell and its result."""

    def __init__(self, answer: str, result: Result) -> None:
        self.answer = answer
        """The formula."""
        self.result = result
        """Its result."""

    @property
    def is_right(self) -> bool:
        """Whether the answer is right."""
        return self.result.is_right

    def __repr__(self) -> str:
        result = self.result
        mistake = f" {result.mistake}" if result.mistake else ""
        lines = [f"{result.id}: {result.verdict}{mistake}, {result.points:g} of {result.max_points:g} points"]
        if result.span is not None:
            lines += self._pointer(*result.span)
        elif result.understood_plain:
            lines.append(f"  understood: {result.understood_plain}")
        if result.message:
            lines.append(f"  {result.message}")
        lines += [f"  hint: {hint}" for hint in result.hints]
        lines += [f"  advice: {advice}" for advice in result.advice]
        if result.reference:
            lines.append(f"  reference: {result.reference}")
        return "\n".join(lines)

    def _pointer(self, start: int, end: int) -> list[str]:
        """The line of the answer that the message is about, underlined."""
        first = self.answer.rfind("\n", 0, start) + 1
        line = self.answer[first:].partition("\n")[0]
        width = max(1, min(end, first + len(line)) - start)
        return [f"  {line}", f"  {' ' * (start - first)}{'^' * width}"]

    def _repr_html_(self) -> str:
        answer = escape(self.answer)
        if self.result.span is not None:
            start, end = self.result.span
            before, wrong, after = self.answer[:start], self.answer[start:end], self.answer[end:]
            mark = f'<u style="text-decoration:underline wavy #b3261e">{escape(wrong)}</u>'
            answer = f"{escape(before)}{mark}{escape(after)}"
        reference = self.result.reference
        more = f"<div>reference: $${escape(reference)}$$</div>" if reference else ""
        advice = "".join(f"<li>{escape(text)}</li>" for text in self.result.advice)
        return f"<pre>{answer}</pre>{result_html(self.result)}{f'<ul>{advice}</ul>' if advice else ''}{more}"


class _ChosenAssignment:
    """What `%backprop_assignment` shows."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def __repr__(self) -> str:
        chosen = self._assignment
        ids = ", ".join(question.id for question in chosen.questions)
        return f"{chosen.title or chosen.id}: {chosen.question_count} questions, {chosen.max_score:g} points\n  {ids}"

    def _repr_html_(self) -> str:
        chosen = self._assignment
        rows = "".join(
            f'<tr><td>{escape(q.id)}</td><td style="text-align:left">{escape(q.prompt)}</td><td>{q.points:g}</td></tr>'
            for q in chosen.questions
        )
        head = "<tr><th>question</th><th>prompt</th><th>points</th></tr>"
        return f"<div><b>{escape(chosen.title or chosen.id)}</b><table>{head}{rows}</table></div>"


@magics_class
class BackpropMagics(Magics):  # type: ignore[misc,unused-ignore]
    """The magics of a shell, and the assignment that was chosen in it."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._variables: dict[str, Any] = shell.user_ns
        self._name = ""
        self._assignment: Assignment | None = None
        self._lab: Lab | None = None

    @line_magic  # type: ignore[untyped-decorator,unused-ignore]
    def backprop_assignment(self, line: str) -> Any:
        """Chooses the assignment whose questions cells answer, and shows them.

        %backprop_assignment NAME|FILE.toml [LAB]

        NAME is an assignment of a server: of this machine, or of LAB, a variable with a `Lab`. Without arguments it shows
        the chosen one.
        """
        words = _words(line)
        if not words:
            return _ChosenAssignment(self._chosen())
        if len(words) > 2:
            raise UsageError(f"{len(words)} arguments are too many: {_CHOOSE} and maybe a variable with a lab")
        lab = self._lab_of(words[1]) if len(words) == 2 else None
        try:
            if is_file(words[0]):
                assignment = load_assignment(words[0])
            else:
                lab = lab or local()
                assignment = lab.assignment(words[0])
        except Error as error:
            raise UsageError(f"{words[0]!r} is no assignment that can be used: {error}") from None
        self._name, self._assignment, self._lab = words[0], assignment, lab
        return _ChosenAssignment(assignment)

    @cell_magic  # type: ignore[untyped-decorator,unused-ignore]
    def backprop_answer(self, line: str, cell: str) -> GradedAnswer:
        """Grades the cell as the answer to a question.

        %%backprop_answer QUESTION [verdict|mistake|hints|reference]

        The cell has one formula, in LaTeX or plain text; the second argument says how much the report tells.
        """
        words = _words(line)
        assignment = self._chosen()
        if not words:
            raise UsageError(f"which question is it? Write %%backprop_answer {assignment.questions[0].id} in the first line")
        reveal = words[1] if len(words) == 2 else "mistake"
        if len(words) > 2 or reveal not in _REVEALS:
            raise UsageError(f"{line.strip()!r} is no question: write its id, and maybe one of {', '.join(_REVEALS)}")
        known = [question.id for question in assignment.questions]
        if words[0] not in known:
            near = difflib.get_close_matches(words[0], known, n=3, cutoff=0.5)
            which = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
            raise UsageError(f"{assignment.id} has no question {words[0]}: {which}")
        answer = cell.strip()
        if not answer:
            raise UsageError(f"the cell is empty: write your formula for {words[0]} below its first line")
        try:
            report = grade(self._name, {words[0]: answer}, reveal=reveal, lab=self._lab)
        except Error as error:
            raise UsageError(f"the answer was not graded: {error}") from None
        return GradedAnswer(answer, report[words[0]])

    def _chosen(self) -> Assignment:
        if self._assignment is None:
            raise UsageError(f"no assignment is chosen yet: {_CHOOSE}")
        return self._assignment

    def _lab_of(self, name: str) -> Lab:
        found = self._variables.get(name)
        if not isinstance(found, Lab):
            what = "is not defined" if found is None else f"is a {type(found).__name__}"
            raise UsageError(f"{name} {what}: the second argument is a variable with a lab, such as lab = bp.connect(…)")
        return found


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line.strip()!r} cannot be read: {error}") from None
