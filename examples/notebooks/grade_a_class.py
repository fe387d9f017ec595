# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Grade a class
# Thirty hand-ins of a homework about backpropagation, in LaTeX and plain text: who has how many points, which mistakes are common, what a
# student reads. It needs `backpropd`, and the folder `examples/class` of the repository.

# %%
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import backpropd as bp
import numpy as np

folder = next(place for up in (Path.cwd(), *Path.cwd().parents) if (place := up / "examples/class").is_dir())
pages = Path(tempfile.mkdtemp())
graded = bp.grade_class(folder, out=pages)
graded

# %%
scores = np.array(list(graded.scores.values()))
print(f"{len(scores)} hand-ins, {scores.mean():.2f} of {graded.max_score:g} points on average, from {scores.min():g} to {scores.max():g}")
assert len(graded) == 30
assert round(graded.mean, 2) == 43.82 == round(scores.mean(), 2)

# %% [markdown]
# ## What does the class not understand?
# The mistakes of all questions together, then the question with most of them.

# %%
together = Counter()
for mistakes in graded.mistakes.values():
    together.update(mistakes)
for mistake, students in together.most_common(5):
    print(f"{students:3} × {mistake}")
hardest = max(graded.mistakes, key=lambda question: sum(graded.mistakes[question].values()))
print(hardest, graded.mistakes[hardest])
assert graded.mistakes["1.16"] == {"MISSING_MASK": 8, "INVERTED_MASK": 2}

# %% [markdown]
# ## What does a student read?
# `reveal="hints"` says more, `reveal="verdict"` less. Every student has a page in the folder `pages`, too.

# %%
ada = graded["ada"].report
print(f"{ada.score:g} of {ada.max_score:g}")
wrong = {question: result for question, result in ada.items() if not result.is_right}
for question, result in wrong.items():
    print(question, result.mistake, result.message)
assert ada.score == 47
assert len(list(pages.iterdir())) >= 30

# %% [markdown]
# ## A hand-in that cannot be read is a result, too

# %%
two = Path(tempfile.mkdtemp())
shutil.copy(folder / "paul.json", two)
(two / "zoe.json").write_text("((")
small = bp.grade_class(two, assignment="hw-backprop")
print(small["zoe"].problem)
assert small["zoe"].report is None and small.scores == {"paul": 50, "zoe": 0}

# %% [markdown]
# ## A single answer
# A formula is graded by its value, never by its spelling.

# %%
answers = {"1.1": r"\delta h^2_{1,1}", "1.11": r"(\delta W^3)^\top h^1"}
report = bp.grade("hw-backprop", answers, reveal="hints")
report

# %%
assert report["1.1"].is_right
assert report["1.11"].mistake == "MISSING_MASK"
print(report["1.11"].hints)
spellings = [r"(\delta W^3 \odot \mathbb{1}[z^2 \geq 0])^\top h^1", "(delta @ W3 * (z2 >= 0)).T @ h1"]
assert all(bp.grade("hw-backprop", {"1.11": spelling})["1.11"].is_right for spelling in spellings)

# %% [markdown]
# ## The same for code
# Each student's dW², compared with the right one on the same network.

# %%
lab = bp.local()
rng = np.random.default_rng(0)
x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
net = lab.model([4, 3, 2, 1], seed=11)
g = net.gradients(x, y)
submitted = {
    "ada": ((g.delta @ g.W[3]) * (g.z[2] >= 0)).T @ g.h[1],
    "alan": (g.delta @ g.W[3]).T @ g.h[1],
    "emmy": len(x) * g.dW[2],
    "kurt": g.dW[2].T,
}
mistakes = {student: g.grade(dW={2: dW2})["dW2"].mistake for student, dW2 in submitted.items()}
print(mistakes)
assert mistakes == {"ada": "", "alan": "MISSING_MASK", "emmy": "MISSING_BATCH_MEAN", "kurt": "TRANSPOSED_RESULT"}
