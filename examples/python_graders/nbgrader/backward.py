# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown] nbgrader={"grade": false, "grade_id": "about", "locked": true, "schema_version": 3, "solution": false, "task": false}
# # The backward pass of a 4-3-2-1 network
# ReLU, a linear last layer, no biases, $l = \frac{1}{2m} \sum \lVert f - y \rVert^2$.
# Write `backward(x, y, W)`, which returns a dictionary `{1: dW1, 2: dW2, 3: dW3}`. `W[1]` is W¹.

# %% nbgrader={"grade": false, "grade_id": "backward", "locked": false, "schema_version": 3, "solution": true, "task": false}
import numpy as np


def backward(x, y, W):
    ### BEGIN SOLUTION
    z1 = x @ W[1].T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W[2].T
    h2 = np.maximum(z2, 0)
    delta = (h2 @ W[3].T - y) / len(x)
    dz2 = (delta @ W[3]) * (z2 >= 0)
    dz1 = (dz2 @ W[2]) * (z1 >= 0)
    return {1: dz1.T @ x, 2: dz2.T @ h1, 3: delta.T @ h2}
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "dW3", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
from checking import check
check(backward, 3)

# %% nbgrader={"grade": true, "grade_id": "dW2", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check(backward, 2)

# %% nbgrader={"grade": true, "grade_id": "dW1", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
check(backward, 1, seed=12)
### END HIDDEN TESTS
