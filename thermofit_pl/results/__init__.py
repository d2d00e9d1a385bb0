"""From the moments of readings, and where an optimiser ended, to calibrations."""
