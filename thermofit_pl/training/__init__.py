"""How a training command runs: its arguments, its folder, its processes, its end."""
