"""Pure statistics and rules: no clock, no file, no randomness without a seed, no ONNX."""
