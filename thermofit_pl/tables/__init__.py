"""Tables on the disk become checked blocks of columns; free of torch."""
