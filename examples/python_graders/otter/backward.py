# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [raw]
# # ASSIGNMENT CONFIG
# init_cell: true
# export_cell: false
# show_question_points: true
# files:
#   - checking.py
# tests:
#   ok_format: false

# %% [markdown]
# # The backward pass of a 4-3-2-1 network
# ReLU, a linear last layer, no biases, $l = \frac{1}{2m} \sum \lVert f - y \rVert^2$.

# %%
import numpy as np

# %% [raw]
# # BEGIN QUESTION
# name: backward
# points: 10

# %% [markdown]
# Write `backward(x, y, W)`, which returns a dictionary `{1: dW1, 2: dW2, 3: dW3}`. `W[1]` is W¹.

# %% [raw]
# # BEGIN SOLUTION

# %%
# BEGIN SOLUTION
def backward(x, y, W):
    z1 = x @ W[1].T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W[2].T
    h2 = np.maximum(z2, 0)
    delta = (h2 @ W[3].T - y) / len(x)
    dz2 = (delta @ W[3]) * (z2 >= 0)
    dz1 = (dz2 @ W[2]) * (z1 >= 0)
    return {1: dz1.T @ x, 2: dz2.T @ h1, 3: delta.T @ h2}
# END SOLUTION

# %% [raw]
# # END SOLUTION

# %% [raw]
# # BEGIN TESTS

# %%
""" # BEGIN TEST CONFIG
points: 2
""" # END TEST CONFIG
def test_dW3(backward):
    from checking import check
    check(backward, 3)

# %%
""" # BEGIN TEST CONFIG
points: 4
""" # END TEST CONFIG
def test_dW2(backward):
    from checking import check
    check(backward, 2)

# %%
""" # BEGIN TEST CONFIG
points: 4
hidden: true
""" # END TEST CONFIG
def test_dW1(backward):
    from checking import check
    check(backward, 1)

# %% [raw]
# # END TESTS

# %% [raw]
# # END QUESTION
