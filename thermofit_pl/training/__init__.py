"""The Lightning module, the data module and laps of full-batch SGD."""
