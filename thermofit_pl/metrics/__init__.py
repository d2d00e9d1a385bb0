"""The moments of readings, and what follows from them: torch's mathematics."""
