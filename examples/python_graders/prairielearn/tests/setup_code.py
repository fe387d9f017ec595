import backpropd as bp
import numpy as np

rng = np.random.default_rng(int(data.get("variant_seed", 0)))
x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
g = bp.local().model([4, 3, 2, 1], seed=11).gradients(x, y)
W = dict(g.W.items())
