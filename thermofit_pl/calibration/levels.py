"""From which p-values on something is said; all sentences together are false of at most 5 % of clean tables."""

PATTERN = 0.01  # below it errors are said to have a pattern
RARER = 0.005  # the same for neighbours and scatter
RARER_LOG = 0.001  # the same for a log's scatter, of which few blocks tell
CHANCE = 0.05  # from it on a slope counts as nothing more than chance
ORDERED = 0.005  # below it a rank correlation is no chance
ORDERED_LOG = 0.99  # rank correlation of a log above which it is none, however alike neighbours are
LITTLE = 0.5  # R² below which a line does little
