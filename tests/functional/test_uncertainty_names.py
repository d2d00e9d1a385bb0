"""Names of columns from certificates, spreadsheets and data sets, and names that only look like them."""

import pytest

from thermofit_pl.functional.uncertainty_names import Said, said


@pytest.mark.parametrize(
    "name",
    ["u_x", "x_u", "x_err", "x_std", "x_unc", "sigma", "u_ref", "u(T) / °C", "Uncertainty", "uncertainty_reference",
     "Standardunsicherheit", "incertitude type", "u", "std_dev", "σ_T", "u_c", "ux", "uncert."],
)  # fmt: skip
def test_standard_uncertainties_are_recognised(name: str) -> None:
    found = said(name)
    assert found is not None
    assert not found.expanded


@pytest.mark.parametrize(
    ("name", "k"),
    [
        ("U (k=2)", 2.0),
        ("Expanded uncertainty U (k=2)", 2.0),
        ("Incertidumbre U (k=2)", 2.0),
        ("不确定度 U (k=2)", 2.0),
        ("U / °C (k = 2,13)", 2.13),
        ("U", None),
        ("U95", None),
        ("erweiterte Messunsicherheit", None),
        ("Expanded uncertainty", None),
    ],
)
def test_expanded_ones_are_told_apart_and_k_is_read(name: str, k: float | None) -> None:
    assert said(name) == Said(True, k, False)


def test_per_cent_is_seen() -> None:
    assert said("U (k=2) / %") == Said(True, 2.0, True)


@pytest.mark.parametrize(
    "name",
    ["t_c", "shown", "reference", "temperature", "humidity", "Unit", "user", "output", "status", "U /V", "u_batt [mV]",
     "error", "k", "standard", "sdcard", "unc1", "celsius", "µ", "rising", "Kalibrierung", "t_ux", "U_volt"],
)  # fmt: skip
def test_other_columns_are_left_alone(name: str) -> None:
    assert said(name) is None
