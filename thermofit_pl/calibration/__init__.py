"""``Calibration`` and ``Calibrations``, their files, and what they record; free of torch."""
