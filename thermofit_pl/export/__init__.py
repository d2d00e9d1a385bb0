"""A calibration as text for another program: one file a target, and proven before it is printed."""
