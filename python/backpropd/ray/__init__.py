"""Grading and training on a Ray cluster: `grade` for a million answers, `fit` for steps that are too slow for one machine.

```python
import ray
from backpropd.ray import fit, grade

graded = grade(ray.data.read_parquet("answers/"), "hw-backprop", secret_file="/secrets/grading")
graded.write_parquet("grades/")

fit(net, x, y, workers=4, epochs=10, batch_size=4096)  # the same weights_digest for any number of workers
```

Both give the same bytes for any number of workers, and when a worker dies: each piece of work is pure, so doing it again
changes nothing. Ray is not installed with the package: `pip install "backpropd[ray]"`.
"""

from __future__ import annotations

from ._fit import fit
from ._grade import grade, report_text

__all__ = ["fit", "grade", "report_text"]
