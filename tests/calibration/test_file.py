import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import GUM_H3, NOTEBOOK, calibration

from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.fields import Schema, walk
from thermofit_pl.calibration.file import Json, checksum, to_text
from thermofit_pl.calibration.records import (
    Autocorrelation,
    Diagnostics,
    ErrorCodes,
    LargestError,
    Neighbours,
    Outlying,
    Rank,
    Scatter,
    SetPoints,
    Sgd,
    Shape,
    Snap,
    Stuck,
)
from thermofit_pl.calibration.rules import LATER
from thermofit_pl.curves.line import Line
from thermofit_pl.errors import InputError

FULL = dataclasses.replace(
    calibration(*NOTEBOOK),
    sgd=Sgd(0.53671, -17.3012, 2.927647, 5000, 0.01, True, 0.0036, -6e-5, 0.0036, None, None),
    diagnostics=Diagnostics(
        sampled=11,
        largest_error=LargestError(2.67, 48.4, 6.0, "t.csv", 10),
        error_codes=ErrorCodes("indication", (85.0, -127.0), 2, "t.csv", (4, 8)),
        stuck=Stuck(21.5, 30, 2.9, "t.csv", 81, 110),
        set_points=SetPoints(5, 1e-9, 20.0, -0.07, 4),
        neighbours=Neighbours(0.9, 1e-4, True),
        shape=Shape(2, 0.3, 0.3),
        scatter=Scatter(False, 0.4),
        outlying=Outlying(1.7, 0.3, 48.4, 6.0, "t.csv", 10, 1, (10,)),
        rank=Rank(0.98, 1e-9),
        slope_p=1e-7,
        autocorrelation=Autocorrelation(0.2, 0.9, 10),
    ),
    indication_column="t_u\n[°F]",
    torch="2.13.0",
    lightning="2.6.6",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calibration.json"


def refused(path: Path, text: str | bytes, sentence: str) -> None:
    """The file is refused with the sentence, on one printable line."""
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    with pytest.raises(InputError, match=sentence) as caught:
        Calibration.load(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def changed(*keys: str, value: Any, forge: bool = False) -> str:
    """The file's text with one value replaced; if forged, with the checksum that goes with it."""
    found = json.loads(to_text(FULL))
    place = found
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    text = json.dumps(found, ensure_ascii=True)
    if forge:
        del found["checksum"]
        text = json.dumps(found | {"checksum": checksum(walk(Schema(Line()), Calibration, Json(found)))})
    return text


@pytest.mark.parametrize(
    "saved",
    [
        FULL,
        calibration(*GUM_H3),
        dataclasses.replace(
            FULL, finish="snap", dof=11, snap=Snap("fahrenheit", 1.7), u_w=0.0, u_b=0.0, cov_wb=0.0, u_pivot=0.0
        ),
        dataclasses.replace(
            FULL,
            finish="sgd",
            u_w=None,
            u_b=None,
            cov_wb=None,
            u_pivot=None,
            s=None,
            u_reading=None,
            u_dof=None,
            reading_dof=None,
            source=None,
            w_interval=None,
            b_interval=None,
        ),
        dataclasses.replace(FULL, data_name="caf\udce9.csv", indication_column='a"b\\c'),
        dataclasses.replace(FULL, w=1, indication_range=(0, 100), w_interval=None),
    ],
    ids=["full", "gum", "snap", "sgd", "odd names", "whole numbers"],
)
def test_what_was_saved_is_loaded(saved: Calibration, path: Path) -> None:
    saved.save(path)
    assert Calibration.load(path) == saved


def test_keys_are_the_attributes_in_order(path: Path) -> None:
    FULL.save(path)
    others = ("level", "U", "conventional")
    names = [name for name in Calibration.__dataclass_fields__ if name not in others]
    assert list(json.loads(path.read_text())) == [*names, "checksum"]
    assert json.loads(path.read_text())["checksum"] == FULL.checksum


def test_a_person_can_read_it(path: Path) -> None:
    FULL.save(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert '  "w": 0.5367719209075441,' in lines
    assert '  "indication_range": [21.8, 81.9],' in lines
    assert '  "indication_column": "t_u\\n[°F]",' in lines
    assert max(map(len, lines)) < 160


def test_a_runs_folder_stands_for_its_calibration(path: Path) -> None:
    FULL.save(path)
    assert Calibration.load(path.parent) == FULL


def test_spaces_and_order_are_free(path: Path) -> None:
    found = json.loads(to_text(FULL))
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(dict(reversed(found.items())), indent=4).encode())
    assert Calibration.load(path) == FULL


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["w", "u_w", "indication_mean"])
def test_infinite_numbers_are_not_saved(name: str, wrong: float, path: Path) -> None:
    change: dict[str, Any] = {name: wrong}
    with pytest.raises(InputError, match=rf"can be saved, but {name} is -?(nan|inf), not a finite number"):
        dataclasses.replace(FULL, **change).save(path)
    assert not path.exists()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_altered_bytes_are_found(data: st.DataObject, path: Path) -> None:
    whole = to_text(FULL)
    kind = data.draw(st.sampled_from(["replace", "delete", "insert", "swap", "cut"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = bytes([data.draw(st.one_of(st.sampled_from(b'0123456789.-eE+,:{}[]"\\ \n'), st.integers(0, 255)))])
    other = data.draw(st.integers(0, len(whole) - 1))
    altered = {
        "replace": whole[:at] + byte + whole[at + 1 :],
        "delete": whole[:at] + whole[at + 1 :],
        "insert": whole[:at] + byte + whole[at:],
        "swap": whole[:at] + whole[other : other + 8] + whole[at + 8 :],
        "cut": whole[:at],
    }[kind]
    path.write_bytes(altered)
    try:
        found = Calibration.load(path)
    except InputError as error:
        assert str(error).isprintable()  # noqa: PT017  # either outcome is right, and each is checked
    else:
        assert found == FULL


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"isn't JSON \(line 1, column 1\)"),
        ("w = 0.5", "isn't JSON"),
        ("[1, 2]", "other JSON, without the key format"),
        ('{"w": 1}', "other JSON, without the key format"),
        (b"\xff\xfe{}", "isn't UTF-8 text"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"w": ' + "9" * 1_000_000 + "}", "a whole number of 1000000 digits"),
        ('{"w": 0.' + "9" * 1_000_000 + "}", "without the key format"),
        ('{"w": 1, "w": 2}', "the key 'w' stands there twice"),
        ('{"w": NaN}', "it holds NaN"),
        ('{"w": -Infinity}', "it holds -Infinity"),
        (" " * 2_000_000, "larger than 1 MiB"),
        (changed("format", value="thermofit_pl calibration 3"), "format is .*calibration 3', where this version knows"),
        (changed("format", value=["x" * 1000]), "its format is "),
    ],
    ids=range(15),
)
def test_what_is_no_calibration_is_refused(text: str | bytes, sentence: str, path: Path) -> None:
    refused(path, text, f"Expected a calibration in .*calibration.json, but .*{sentence}")


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (["w"], True, "w is True, not a number"),
        (["w"], "0.5", "w is '0.5', not a number"),
        (["w"], None, "w is None, not a number"),
        (["n"], 11.0, r"n is 11\.0, not a whole number"),
        (["n"], True, "n is True, not a whole number"),
        (["below_rounding"], 0, "below_rounding is 0, not true or false"),
        (["version"], 1, "version is 1, not a text"),
        (["indication_range"], [1.0], r"indication_range is \[1\.0\], not a list of 2"),
        (["indication_range"], "ab", "indication_range is 'ab', not a list of 2"),
        (["indication_range"], [1.0, None], r"indication_range\[1\] is None, not a number"),
        (["scale"], [], "scale is .*, not an object with keys"),
        (["sgd", "steps"], 1.5, r"sgd\.steps is 1\.5, not a whole number"),
        (["sgd", "extra"], 1, r"the key sgd\.extra is unknown"),
        (["diagnostics", "largest_error"], {}, r"the key diagnostics\.largest_error\.error is missing"),
        (["indication_column"], "a\x1b[31mb", r"indication_column holds control characters: 'a\\x1b\[31mb'"),
        (["version"], "\u009b31m", "version holds control characters"),
        (["bell\x07"], 1, r"the key bell\\x07 is unknown"),
    ],
)
def test_values_of_another_kind_are_refused(keys: list[str], value: Any, sentence: str, path: Path) -> None:
    refused(path, changed(*keys, value=value), sentence)


def test_huge_numbers_are_refused(path: Path) -> None:
    refused(path, to_text(FULL).replace(b"0.5367719209075441", b"1e999"), "w is inf, not a finite number")


@pytest.mark.parametrize("name", sorted({*Schema(Line()).of(Calibration), "checksum"} - set(LATER)))
def test_a_missing_key_is_refused(name: str, path: Path) -> None:
    found = json.loads(to_text(FULL))
    del found[name]
    sentence = {"format": "without the key format", "checksum": "don't match its checksum"}
    refused(path, json.dumps(found), sentence.get(name, f"the key {name} is missing"))


@pytest.mark.parametrize("value", [0.5367719209075442, 0.6])
def test_a_value_changed_by_hand_is_found(value: float, path: Path) -> None:
    refused(path, changed("w", value=value), "its values don't match its checksum: it was altered after it was written")


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (["n"], 1, "n is 1, fewer than two readings"),
        (["dof"], 8, "dof is 8, which doesn't go with n = 11"),
        (["dropped"], -1, "dropped is -1, below zero"),
        (["finish"], "guess", "finish is 'guess', which no fit writes"),
        (["finish"], "snap", "finish is 'snap', which doesn't go with snap"),
        (["indication_range"], [81.9, 21.8], "indication_range is reversed, 81.9 to 21.8"),
        (["indication_mean"], 90.0, "indication_mean is 90.0, outside the range"),
        (["coverage_probability"], 95.0, "coverage_probability is 95.0, not between 0 and 1"),
        (["s"], -1.9, "s is -1.9, below zero"),
        (["u_w"], -0.03, "u_w is -0.03, below zero"),
        (["rmse"], -1.0, "rmse is -1.0, below zero"),
        (["r_squared"], 1.1, "r_squared is 1.1, above 1"),
        (["u_w"], None, "some of u_w, u_b, cov_wb and u_pivot are null and some aren't"),
        (["s"], None, "s is missing beside u_pivot"),
        (["u_reading"], None, "u_reading is missing beside u_pivot"),
        (["reading_dof"], -1.0, "reading_dof is -1.0, below zero"),
        (["u_b"], 1.0, "u_b doesn't go with u_pivot, u_w and pivot"),
        (["cov_wb"], 0.06542, "cov_wb doesn't go with u_w and pivot"),
        (["w"], 3.0, "w isn't inside w_interval"),
        (["b_interval"], [0.0, 1.0], "b isn't inside b_interval"),
        (["scale", "nearest"], "celsius", "scale.nearest isn't the first"),
        (["scale", "scales"], [], "scale.scales isn't the eight scales"),
        (["scale", "agreeing"], ["plato"], "scale.agreeing names a scale that is unknown"),
        (["snap"], {"scale": "plato", "rmse_free": 1.0}, "finish is 'least_squares', which doesn't go with snap"),
        (["created"], "yesterday", "created is no time in UTC"),
        (["data_sha256"], "0" * 63, "data_sha256 is no SHA-256"),
    ],
)
def test_inconsistent_values_are_refused_whatever_the_checksum(
    keys: list[str], value: Any, sentence: str, path: Path
) -> None:
    refused(path, changed(*keys, value=value, forge=True), re.escape(sentence))


def test_what_load_refuses_is_not_saved(path: Path) -> None:
    with pytest.raises(InputError, match="can be saved, but version holds control characters"):
        dataclasses.replace(FULL, version="\x1b").save(path)
    with pytest.raises(InputError, match="can be saved, but dof is 3, which doesn't go with n = 11"):
        dataclasses.replace(FULL, dof=3).save(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the calibration file .*none\.json, but got No such file or directory"):
        Calibration.load(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"calibration\.json, but got No such file"):
        Calibration.load(tmp_path)
    with pytest.raises(InputError, match="but got embedded null byte"):
        Calibration.load("a\0b")
