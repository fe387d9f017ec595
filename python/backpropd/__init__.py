"""Networks on a backpropd server, in numpy arrays: train them, and see every quantity of the backward pass.

```python
import backpropd as bp, numpy as np

lab = bp.local()  # or bp.connect("https://lab:50051", token=…)
net = lab.model([4, 3, 2, 1], seed=1)  # ReLU, linear last, half squared error
g = net.gradients(x, y)  # g.loss, g.z[1], g.h[2], g.delta, g.dW[2], g.db, …
mine = (g.delta @ net.W[3]).T @ g.h[1]
g.check(dW={2: mine})  # AssertionError: dW² MISSING_MASK: …
```

`backpropd.aio` has the same for asyncio.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import _reasons
from ._batch import Dataset, Rows
from ._entry import connect, grade, grade_gradients, local
from ._errors import (
    Error,
    ForkedConnection,
    InvalidAddress,
    InvalidArray,
    InvalidHandIn,
    InvalidModule,
    LimitReached,
    NotStarted,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Unreachable,
    WrongGradients,
    WrongServer,
)
from ._gradients import Gradients
from ._grading import Assignment, GradientsReport, Question, Report, Result, TensorResult
from ._hand_in import ClassReport, Submission, grade_class, load_assignment
from ._history import HeldOut, History, Outcome, Step
from ._lab import Lab
from ._layers import Layers
from ._network import Network
from ._reasons import *  # noqa: F403
from ._results import (
    Applied,
    Evaluation,
    Explanation,
    GradientCheck,
    ModelInfo,
    RunInfo,
    ServerInfo,
    SessionInfo,
)
from ._runs import Run
from ._spec import (
    SGD,
    Adam,
    AdamW,
    ConstantSchedule,
    CosineSchedule,
    Layer,
    RMSProp,
    Spec,
    StepSchedule,
)
from ._watch import Change

if TYPE_CHECKING:
    from . import aio as aio

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Applied",
    "Assignment",
    "Change",
    "ClassReport",
    "ConstantSchedule",
    "CosineSchedule",
    "Dataset",
    "Error",
    "Evaluation",
    "Explanation",
    "ForkedConnection",
    "GradientCheck",
    "Gradients",
    "GradientsReport",
    "HeldOut",
    "History",
    "InvalidAddress",
    "InvalidArray",
    "InvalidHandIn",
    "InvalidModule",
    "Lab",
    "Layer",
    "Layers",
    "LimitReached",
    "ModelInfo",
    "Network",
    "NotStarted",
    "Outcome",
    "PermissionDenied",
    "Question",
    "RMSProp",
    "Report",
    "Result",
    "Rows",
    "Run",
    "RunInfo",
    "ServerInfo",
    "SessionInfo",
    "Spec",
    "Step",
    "StepSchedule",
    "Submission",
    "TensorResult",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "WrongGradients",
    "WrongServer",
    "aio",
    "connect",
    "grade",
    "grade_class",
    "grade_gradients",
    "load_assignment",
    "local",
]
__all__ += _reasons.__all__


def __getattr__(name: str) -> Any:
    # asyncio's surface is loaded when it is first used.
    if name == "aio":
        return importlib.import_module(".aio", __name__)
    if name == "__version__":
        return importlib.import_module("._version", __name__).package_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Adds the magics of notebooks: `%load_ext backpropd`."""
    shell.register_magics(importlib.import_module("._magics", __name__).BackpropMagics)
