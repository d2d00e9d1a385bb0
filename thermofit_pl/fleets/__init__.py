"""What many instruments have that one has not: a table of results, a summary, figures."""
