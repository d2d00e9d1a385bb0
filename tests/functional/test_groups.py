import numpy as np

from thermofit_pl.functional.groups import Groups


def test_the_largest_of_each_instrument() -> None:
    code = np.array([3, 1, 3, 0, 1, 3, 4])
    values = np.array([2.0, 5.0, 7.0, np.nan, 5.0, 7.0, np.nan])
    groups = Groups(code, 6)
    assert groups.unsorted(groups.argmax(groups.sorted(values))).tolist() == [-1, 1, -1, 2, -1, -1]
    np.testing.assert_array_equal(groups.sums(groups.sorted(values)), [np.nan, 10, 0, 16, np.nan, 0])
    np.testing.assert_array_equal(groups.at(groups.sorted(values), np.full(6, -1)), np.full(6, np.nan))
