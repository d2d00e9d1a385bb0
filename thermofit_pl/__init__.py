"""Calibrates thermometers and other sensors with Lightning: the line, how far to trust it, and a file that corrects new readings."""

__version__ = "0.1.0"
