"""Decide whether a trained model may replace the one in production, and prove it."""

__version__ = "0.1.0"
