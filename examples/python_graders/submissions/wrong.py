import numpy as np


def backward(x, y, W):
    """dW of l = 1/(2m) Σ‖f − y‖², for a ReLU network with a linear last layer and the weights W[1], W[2], W[3]."""
    z1 = x @ W[1].T
    h1 = np.maximum(z1, 0)
    z2 = h1 @ W[2].T
    h2 = np.maximum(z2, 0)
    delta = (h2 @ W[3].T - y) / len(x)
    dz2 = delta @ W[3]
    dz1 = (dz2 @ W[2]) * (z1 >= 0)
    return {1: dz1.T @ x, 2: dz2.T @ h1, 3: delta.T @ h2}
