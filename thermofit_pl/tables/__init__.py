"""Tables on the disk: what a file is, its cells, and its rows in pieces."""
