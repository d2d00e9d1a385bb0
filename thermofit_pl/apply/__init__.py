"""Corrects tables by a calibration, without torch."""
