"""What a run shows in TensorBoard, and in the figures beside it."""
