"""A calibration for people's eyes: text, figures, and what TensorBoard shows."""
