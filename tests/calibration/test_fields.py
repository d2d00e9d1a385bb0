"""The lists of fields that files and columns follow, against the keys as the versions of the file have them."""

import pytest

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.fields import COMMON, Schema, walk
from thermofit_pl.calibration.file import Json
from thermofit_pl.calibration.records import Autocorrelation, Coefficients, Diagnostics
from thermofit_pl.calibration.rules import RefusedError
from thermofit_pl.curves.line import Line
from thermofit_pl.curves.offset import Offset
from thermofit_pl.curves.polynomial import Polynomial

FIRST = "w b u_w u_b cov_wb u_pivot s rmse r_squared coverage_factor indication_mean"


def test_each_field_of_the_first_version_has_its_place() -> None:
    schema = Schema(Line(), 1)
    assert " ".join(schema.numbers) == FIRST
    assert schema.counts == ("n", "dof")
    assert schema.intervals == ("w_interval", "b_interval", "indication_range")
    rest = ["below_rounding", "scale", "sgd", "diagnostics", "snap"]
    assert [name for name in schema.own if name not in (*schema.numbers, *schema.counts, *schema.intervals)] == rest
    assert "curve" not in schema.of(Calibration)


def test_a_line_keeps_its_fields_and_gains_some() -> None:
    for curve in (Line(), Offset()):
        numbers = Schema(curve).numbers
        assert [name for name in numbers if name in FIRST.split()] == FIRST.split()
        assert set(numbers) - set(FIRST.split()) == {"pivot", "u_reading", "u_dof", "reading_dof"}
    assert set(COMMON) == {
        *("coverage_probability", "finish", "indication_column", "reference_column", "data_name", "data_sha256"),
        *("dropped", "unit", "indication_unit", "created", "version", "torch", "lightning", "curve"),
    }


def test_a_polynomial_has_as_many_numbers_as_features_and_powers() -> None:
    schema = Schema(Polynomial(2, 0.0, 1.0))
    assert "b" not in schema.own
    assert schema.own["w"] == tuple[float, float]
    assert schema.vectors == ("w", "pivot", "U")
    assert schema.intervals == ("indication_range",)
    assert schema.of(Coefficients)["values"] == tuple[float, float, float]


def test_a_row_becomes_its_records() -> None:
    schema = Schema(Line())
    found = Diagnostics(sampled=3, slope_p=0.5, autocorrelation=Autocorrelation(0.1, 0.2, 7))
    row = {name: getattr(found, name) for name in schema.of(Diagnostics)}
    row["autocorrelation"] = {"errors": 0.1, "indications": 0.2, "pairs": 7, "gaps": None, "equal_times": None}
    assert walk(schema, Diagnostics, Json(row)) == found
    assert walk(schema, tuple[float, float] | None, Json([1.0, 2.0])) == (1.0, 2.0)
    assert walk(schema, Diagnostics | None, Json(None)) is None
    with pytest.raises(RefusedError, match=r"w is .*, not a list of 2"):
        walk(schema, tuple[float, float], Json([1.0]), "w")
