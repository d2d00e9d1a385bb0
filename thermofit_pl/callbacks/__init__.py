"""What a command adds to a Trainer: progress, checkpoints, TensorBoard, the result, predictions."""
