"""The processes of one run: what they tell each other, signals, and why each ended."""
