"""Exports, read by readers of their own: a C compiler, Python, YAML, and formulas from the targets' documentation."""

import configparser
import ctypes
import itertools
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from export_views import BETA, LINE, PT100, QUADRATIC, RANGES, THERMISTOR, body, evenly, made

from thermofit_pl.errors import InputError
from thermofit_pl.export.export import TARGETS, export
from thermofit_pl.export.formula import FloatArray, Formula, Powers
from thermofit_pl.export.view import View

CURVES = [
    pytest.param(curve, id=name) for curve, name in zip(RANGES, ("line", "quadratic", "sh", "beta", "pt"), strict=True)
]
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion"]


def largest_difference(text: str) -> float:
    """What a text says of itself."""
    found = re.search(r"differ from the calibration by (\S+) deg", text)
    assert found
    return float(found[1])


def agrees(view: View, x: FloatArray, y: FloatArray, text: str, rounding: float = 1.05) -> None:
    """Asserts that a reader's answers are the calibration's, as closely as the text says, within two of its digits.

    Args:
        view: The calibration.
        x: Indications.
        y: The reader's answers.
        text: The export.
        rounding: The promise has two digits, and is made at other indications.
    """
    difference = float(np.abs(y - view.estimate(x)).max())
    assert difference <= rounding * largest_difference(text) + 1e-12
    assert difference <= 0.1 * float(np.asarray(view.correct(x).u_single).min())


def compiled(text: str, folder: Path, *, plus: bool = False) -> Any:
    """The function of a header, compiled without a warning."""
    found = re.search(r"inline (float|double) (\w+)\(", text)
    assert found
    real, name = found[1], found[2]
    suffix, standard = (".cpp", "c++11") if plus else (".c", "c99")
    (folder / "calibration.h").write_text(text)
    linkage = 'extern "C" ' if plus else ""
    declared = f"{linkage}{real} call({real} x);\n{linkage}{real} call({real} x) {{ return {name}(x); }}\n"
    source = folder / f"call{suffix}"
    source.write_text(f'#include "calibration.h"\n#include "calibration.h"\n#include <limits.h>\n{declared}')
    library = folder / f"call{suffix}.so"
    command = [
        "c++" if plus else "cc",
        f"-std={standard}",
        *STRICT,
        "-shared",
        "-fPIC",
        "-O1",
        source,
        "-o",
        library,
        "-lm",
    ]
    subprocess.run(command, check=True, capture_output=True)
    call = ctypes.CDLL(str(library)).call
    kind = ctypes.c_float if real == "float" else ctypes.c_double
    call.argtypes, call.restype = [kind], kind
    return call


@pytest.mark.parametrize("curve", CURVES)
def test_a_c_compiler(curve: Formula, tmp_path: Path) -> None:
    view = made(curve)
    text = export(view, "c")
    call = compiled(text, tmp_path)
    x = evenly(view)
    agrees(view, x, np.array([call(one) for one in x]), text, 1.5)  # logf may round otherwise than NumPy's
    assert "float probe_1_correct(float indication)" in text
    assert re.search(r"#define PROBE_1_INDICATION_MIN [\d.]+f\n#define PROBE_1_INDICATION_MAX [\d.]+f\n", text)
    plus = compiled(text, tmp_path, plus=True)
    assert plus(float(x[7])) == call(float(x[7]))


def test_c_centres_and_then_takes_double_where_float_is_not_enough(tmp_path: Path) -> None:
    # a cubic far from 0: in powers of the indication float32 loses all, about the middle it holds
    far = made(Powers((20.0, 0.5, 1e-3, 1e-5), centre=1000.0), (950.0, 1050.0), u=0.01)
    text = export(far, "c")
    assert "(indication - 1000.0f)" in text
    x, call = evenly(far), compiled(text, tmp_path)
    agrees(far, x, np.array([call(one) for one in x]), text, 1.5)
    fine = made(LINE, u=1e-6)
    text = export(fine, "c")
    assert "static inline double probe_1_correct(double indication)" in text
    x, call = evenly(fine), compiled(text, tmp_path, plus=True)
    agrees(fine, x, np.array([call(one) for one in x]), text)


@pytest.mark.parametrize("curve", CURVES)
def test_python_runs_it(curve: Formula) -> None:
    view = made(curve)
    text = export(view, "python")
    names: dict[str, Any] = {}
    exec(compile(text, "export", "exec"), names)
    x = evenly(view)
    agrees(view, x, np.array([names["probe_1_correct"](float(one)) for one in x]), text)


def excel(formula: str, a2: float) -> float:
    """A formula by Excel's rules: ``^`` binds weaker than a sign, LN and SQRT are functions; Python does the rest."""
    assert formula.startswith("=")
    assert "^" not in formula
    assert not re.search(r"[-+*/]-", formula), "a sign after an operator stands in brackets"
    for digits in re.findall(r"(?<![A-Z])\d[\d.]*", formula):
        assert len(digits.replace(".", "").lstrip("0")) <= 15, "Excel takes the rest for zeros"
    found: float = eval(formula[1:], {"A2": a2, "LN": math.log, "SQRT": math.sqrt})
    return found


@pytest.mark.parametrize("curve", [LINE, QUADRATIC, THERMISTOR, BETA])
def test_a_spreadsheet(curve: Formula) -> None:
    view = made(curve)
    text = export(view, "excel")
    (formula,) = body(text).splitlines()
    x = evenly(view)
    agrees(view, x, np.array([excel(formula, float(one)) for one in x]), text)


def test_the_spreadsheets_formulas_read_well() -> None:
    assert body(export(made(LINE), "excel")) == "=0.5367719*A2-17.3047855\n"
    assert body(export(made(QUADRATIC), "excel")) == "=1.5+A2*(0.56+A2*(-0.0001))\n"


@pytest.mark.parametrize("curve", CURVES)
def test_a_table_is_linear_between_its_lines(curve: Formula) -> None:
    view = made(curve)
    text = export(view, "table")
    x, y = np.array([[float(cell) for cell in line.split(",")] for line in body(text).splitlines()]).T
    assert (np.diff(x) > 0).all()
    assert (x[0], x[-1]) == (view.low, view.high)
    at = evenly(view, 20_001)
    agrees(view, at, np.interp(at, x, y), text)
    if isinstance(curve, Powers) and curve.degree == 1:
        assert len(x) == 2


def test_a_tables_knots_are_dense_where_the_curve_bends() -> None:
    view = made(THERMISTOR, (162.0, 32650.0), u=0.4)
    x = np.array([float(line.split(",")[0]) for line in body(export(view, "table")).splitlines()])
    steps = np.diff(x)
    assert steps[0] < steps[-2] / 20
    # equal steps of ln R, measured: 64 for 0.02 °C over 0 to 100 °C
    assert len(x) < 64


def esphome(text: str, x: FloatArray) -> tuple[FloatArray, list[Any]]:
    """The filters of a text as esphome/components/sensor computes them, in float32; clamp is returned with the rest."""
    f = np.float32
    value, filters = x.astype(f), yaml.safe_load(text)["filters"]
    for one in filters:
        ((name, settings),) = one.items()
        if name == "calibrate_linear":
            assert settings["method"] == "exact"
            pairs = [tuple(map(float, pair.split("->"))) for pair in settings["datapoints"]]
            assert pairs == sorted(pairs)
            result = np.full_like(value, np.nan)
            for (x0, y0), (x1, y1) in itertools.pairwise(pairs):
                k = (y1 - y0) / (x1 - x0)
                last = (x1, y1) == pairs[-1]
                take = np.isnan(result) & (last | (value < f(x1)))
                result[take] = value[take] * f(k) + f(y0 - k * x0)
            value = result
        elif name == "calibrate_polynomial":
            pairs = [tuple(map(float, pair.split("->"))) for pair in settings["datapoints"]]
            columns = np.array([[one**k for k in range(settings["degree"] + 1)] for one, _ in pairs])
            coefficients = np.linalg.lstsq(columns, np.array([y for _, y in pairs]), rcond=None)[0]
            value = np.sum([value**k * f(c) for k, c in enumerate(coefficients)], axis=0, dtype=f)
        elif name == "to_ntc_temperature":
            a, b, c = (settings["calibration"][key] for key in "abc")
            log = np.log(value.astype(float))
            value = (1 / (a + b * log + c * log**3) - 273.15).astype(f)
        elif name == "lambda":
            found = re.fullmatch(r"return (.*);", settings)
            assert found
            value = eval(re.sub(r"[\d.]+(?:e[-+]?\d+)?f", lambda m: f"f({m[0][:-1]})", found[1]), {"x": value, "f": f})
        else:
            assert name == "clamp"
            assert settings["ignore_out_of_range"] is True
            assert (value >= f(settings["min_value"])).all()
            assert (value <= f(settings["max_value"])).all()
    return value.astype(float), filters


@pytest.mark.parametrize("curve", [*CURVES[:4], pytest.param(Powers((20.0, 0.5, 1e-3, 1e-5), centre=1000.0), id="far")])
def test_esphomes_filters(curve: Formula) -> None:
    view = made(curve, None if curve in RANGES else (950.0, 1050.0))
    text = export(view, "esphome")
    x = evenly(view)
    value, filters = esphome(text, x)
    agrees(view, x, value, text, 3.0)  # float32 sums, and single coefficients, round otherwise
    assert "clamp" in filters[-1]


def test_esphomes_line_is_two_points_on_the_line() -> None:
    first = body(export(made(LINE), "esphome")).split("  - clamp")[0]
    points = "        - 14.0 -> -9.7899789\n        - 95.0 -> 33.688545\n"
    assert first == f"filters:\n  - calibrate_linear:\n      method: exact\n      datapoints:\n{points}"
    quadratic = yaml.safe_load(export(made(QUADRATIC), "esphome"))["filters"][0]["calibrate_polynomial"]
    assert quadratic == {"degree": 2, "datapoints": ["0.0 -> 1.5", "50.0 -> 29.25", "100.0 -> 56.5"]}


def home_assistant(settings: dict[str, Any], x: FloatArray) -> FloatArray:
    """homeassistant/components/compensation: a polynomial through the points, limits, and rounding."""
    points = sorted(map(tuple, settings["data_points"]))
    assert len(points) > settings["degree"]
    assert 1 <= settings["degree"] <= 7
    polynomial = np.poly1d(np.polyfit([x for x, _ in points], [y for _, y in points], settings["degree"]))
    found = []
    for one in x.tolist():
        if settings["lower_limit"] and one <= points[0][0]:
            found.append(round(points[0][1], settings["precision"]))
        elif settings["upper_limit"] and one >= points[-1][0]:
            found.append(round(points[-1][1], settings["precision"]))
        else:
            found.append(round(float(polynomial(one)), settings["precision"]))
    return np.array(found)


@pytest.mark.parametrize("curve", [LINE, QUADRATIC, Powers((1.0, 2e-1, 1e-3, -1e-5, 1e-8))])
def test_home_assistants_compensation(curve: Powers) -> None:
    view = made(curve, RANGES.get(curve, (0.0, 80.0)))
    text = export(view, "home-assistant")
    settings = yaml.safe_load(text)["compensation"]["probe_1_corrected"]
    assert settings["precision"] >= 3
    assert settings["unit_of_measurement"] == "°C"
    x = evenly(view)
    agrees(view, x, home_assistant(settings, x), text)


@pytest.mark.parametrize("curve", [THERMISTOR, BETA])
def test_home_assistants_template(curve: Formula) -> None:
    view = made(curve)
    text = export(view, "home-assistant")
    ((sensor,),) = (entry["sensor"] for entry in yaml.safe_load(text)["template"])
    environment = jinja2.Environment()
    environment.filters["log"] = math.log
    x = evenly(view, 51)
    found = []
    for one in x.tolist():
        environment.globals["states"] = lambda entity, one=one: str(one) if entity == "sensor.probe_1" else None
        found.append(float(environment.from_string(sensor["state"]).render()))
    agrees(view, x, np.array(found), text)


def klipper(section: dict[str, str], r: FloatArray) -> FloatArray:
    """Klipper's thermistor: Steinhart-Hart through three points, or Beta through one."""
    k = {key: float(value) for key, value in section.items()}
    if "beta" in k:
        inverse = 1 / (k["temperature1"] + 273.15) + np.log(r / k["resistance1"]) / k["beta"]
        return np.asarray(1 / inverse - 273.15)
    logs = np.log([k[f"resistance{n}"] for n in (1, 2, 3)])
    kelvin = np.array([k[f"temperature{n}"] for n in (1, 2, 3)]) + 273.15
    a, b, c = np.linalg.solve(np.stack([np.ones(3), logs, logs**3], axis=1), 1 / kelvin)
    assert c > 0, "else it takes Beta's equation, silently"
    log = np.log(r)
    return np.asarray(1 / (a + b * log + c * log**3) - 273.15)


@pytest.mark.parametrize("curve", [THERMISTOR, BETA])
def test_klippers_thermistor(curve: Formula) -> None:
    view = made(curve)
    text = export(view, "klipper")
    parser = configparser.ConfigParser()
    parser.read_string(text)
    x = evenly(view)
    value = klipper(dict(parser["thermistor probe_1"]), x)
    assert np.abs(value - view.estimate(x)).max() < 1e-6
    assert largest_difference(text) < 1e-6


@pytest.mark.parametrize("curve", [THERMISTOR, BETA])
def test_marlins_thermistor(curve: Formula) -> None:
    view = made(curve)
    text = export(view, "marlin")
    code = re.search(r"M305 P0 T([\d.]+) B([\d.]+) C([\d.]+)$", text, re.MULTILINE)
    assert code, "plain decimals: its parser stops at an e"
    defined = dict(re.findall(r"#define HOTEND0_(\w+) (\S+)", text))
    assert [defined[key] for key in ("RESISTANCE_25C_OHMS", "BETA", "SH_C_COEFF")] == list(code.groups())
    r25, beta, c = map(float, code.groups())
    x = evenly(view)
    log, log25 = np.log(x), math.log(r25)
    alpha = 1 / 298.15 - log25 / beta - c * log25**3
    value = 1 / (alpha + log / beta + c * log**3) - 273.15
    agrees(view, x, value, text, 3.0)  # by float64 with numbers of nine digits


def test_marlins_numbers_are_those_of_its_documentation() -> None:
    text = export(made(THERMISTOR), "marlin")
    assert "#define HOTEND0_RESISTANCE_25C_OHMS 2252.65" in text
    assert "#define HOTEND0_BETA 4218.85" in text
    assert "C0.0000001087" in text


@pytest.mark.parametrize(("b", "printed"), [(-0.45, -0.45), (0.1234, 0.1234), (3.0, 3.0)])
def test_zigbee2mqtts_offset(b: float, printed: float) -> None:
    view = made(Powers((b, 1.0)), (0.0, 40.0), u=0.1)
    text = export(view, "zigbee2mqtt")
    settings = yaml.safe_load(text)
    assert settings == {"temperature_calibration": printed, "temperature_precision": 2}
    x = np.arange(0, 4000) / 100  # what a sensor sends has two decimals
    factor = 10 ** settings["temperature_precision"]
    value = np.floor((x + settings["temperature_calibration"]) * factor + 0.5) / factor
    assert np.abs(value - (x + b)).max() <= 0.005 + 1e-9


@pytest.mark.parametrize("tenths", [*range(-126, 127, 7), 126])
def test_tasmotas_offset_comes_back_from_its_eight_bits(tenths: int) -> None:
    view = made(Powers((tenths / 10, 1.0)), (0.0, 40.0), u=0.1)
    (command,) = body(export(view, "tasmota")).splitlines()
    found = re.fullmatch(r"TempOffset (-?[\d.]+)", command)
    assert found
    kept = np.int8(np.float32(float(found[1])) * np.float32(10))  # its (int8_t)(CharToFloat(data) * 10)
    assert kept == tenths


@pytest.mark.parametrize("to", TARGETS)
def test_an_offset_of_half_a_degree_goes_everywhere_but_to_printers(to: str) -> None:
    view = made(Powers((0.5, 1.0)), (0.0, 40.0), u=0.2)
    if to in ("klipper", "marlin"):
        with pytest.raises(InputError, match=f"a curve that {to} holds, but it holds thermistors alone .* --to table"):
            export(view, to)
    else:
        text = export(view, to)
        assert view.checksum in text
        assert "0.20 at 0" in text
        assert text.endswith("\n")


def test_a_pt100_goes_where_a_loop_or_points_can() -> None:
    for to in ("home-assistant", "excel"):
        with pytest.raises(InputError, match=r"has no Callendar-Van Dusen curve below 0 °C; use --to table"):
            export(made(PT100), to)
        assert "100" in export(made(PT100, (100.0, 390.0)), to)
    view = made(PT100, (100.0, 140.0), u=0.05)
    text = export(view, "esphome")
    x = evenly(view)
    agrees(view, x, esphome(text, x)[0], text)
