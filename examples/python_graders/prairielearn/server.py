def generate(data):
    """Names what the student's code gets, and what is graded of it."""
    data["params"]["names_for_user"] = [
        {"name": "x", "description": "inputs, [6, 4]", "type": "numpy array"},
        {"name": "y", "description": "targets, [6, 1]", "type": "numpy array"},
        {"name": "W", "description": "weights by layer, from 1", "type": "dictionary of numpy arrays"},
    ]
    data["params"]["names_from_user"] = [
        {"name": "backward", "description": "backward(x, y, W) returns dW by layer", "type": "function"},
    ]
