"""Curves that are linear in their coefficients, one a file; NumPy, Polars and torch by operators alone."""
