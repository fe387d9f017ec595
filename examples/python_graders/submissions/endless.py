def backward(x, y, W):
    """Descends until a loss of 0, which it never reaches."""
    while True:
        pass
