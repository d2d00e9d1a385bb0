"""The package's public names."""

import types
from importlib import import_module

import pytest

import thermofit_pl


@pytest.mark.parametrize("name", thermofit_pl.__all__)
def test_a_public_name_is_what_its_home_defines(name: str) -> None:
    found = getattr(thermofit_pl, name)
    assert not isinstance(found, types.ModuleType)  # a module of the same name would take its place
    assert found is getattr(import_module(found.__module__), name)


def test_another_name_is_refused_with_those_that_are() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'; it has Calibration"):
        thermofit_pl.fitt  # noqa: B018  # type: ignore[attr-defined]
