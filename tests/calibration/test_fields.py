"""The lists of fields that files and columns follow, against the keys as version 1 of the file has them."""

import dataclasses

from thermofit_pl.calibration.fields import COMMON, COUNTS, INTERVALS, NUMBERS, OWN, restored
from thermofit_pl.calibration.records import Autocorrelation, Diagnostics


def test_each_field_has_its_place() -> None:
    assert " ".join(NUMBERS) == "w b u_w u_b cov_wb u_pivot s rmse r_squared coverage_factor indication_mean"
    assert (COUNTS, INTERVALS) == (("n", "dof"), ("w_interval", "b_interval", "indication_range"))
    assert set(COMMON) == {
        *("coverage_probability", "finish", "indication_column", "reference_column", "data_name", "data_sha256"),
        *("dropped", "unit", "indication_unit", "created", "version", "torch", "lightning"),
    }
    rest = ["below_rounding", "scale", "sgd", "diagnostics", "snap"]
    assert [name for name in OWN if name not in (*NUMBERS, *COUNTS, *INTERVALS)] == rest


def test_a_row_becomes_its_records() -> None:
    found = Diagnostics(sampled=3, slope_p=0.5, autocorrelation=Autocorrelation(0.1, 0.2, 7))
    row = dict.fromkeys(field.name for field in dataclasses.fields(Diagnostics)) | {"sampled": 3, "slope_p": 0.5}
    assert restored(Diagnostics, row | {"autocorrelation": {"errors": 0.1, "indications": 0.2, "pairs": 7}}) == found
    assert restored(tuple[float, float] | None, [1.0, 2.0]) == (1.0, 2.0)
    assert restored(Diagnostics | None, None) is None
