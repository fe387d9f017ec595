# The right gradients are in g, of setup_code.py.
