"""Correcting a table by a calibration, without torch."""
