"""What is typed: the commands, their options, their sentences, and a run's folder."""
