"""One verb each; the Python API is made of these."""
