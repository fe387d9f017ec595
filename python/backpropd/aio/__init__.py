"""The same as `backpropd`, for asyncio: every method of `Lab`, `Network` and `Gradients` is awaited, and so are the properties
that ask the server (`await net.W`).

```python
import backpropd as bp

lab = await bp.aio.local()
net = await lab.model([4, 3, 2, 1], seed=1)
g = await net.gradients(x, y)
async for step in net.train(x, y, steps=100):
    print(step.loss)
```
"""

from ._entry import connect, grade, grade_gradients, local
from ._gradients import Gradients
from ._lab import Lab
from ._network import Network
from ._runs import Run

__all__ = ["Gradients", "Lab", "Network", "Run", "connect", "grade", "grade_gradients", "local"]
