"""The mathematics of NumPy arrays: distributions, diagnostics, temperature scales, sets of an inverse."""
