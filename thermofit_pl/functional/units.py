"""Units as text: how they read in a sentence, which are temperatures, and which one a column's name names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from thermofit_pl.errors import InputError, Setting
from thermofit_pl.formatting import quoted

CELSIUS = "°C"
ABSOLUTE_ZERO = {CELSIUS: -273.15, "°F": -459.67, "K": 0.0}  # the units in which temperature scales are spoken of
LONGEST = 40  # characters
_DEGREES = str.maketrans({"º": "°", "˚": "°", "℃": "°C", "℉": "°F", "\N{OHM SIGN}": "Ω"})
# what stands in brackets may be anything, so that only what is surely a unit counts
_BRACKETED = (
    "Pa", "hPa", "kPa", "MPa", "bar", "mbar", "psi", "mmHg", "inHg", "µV", "mV", "V", "µA", "mA", "A", "Ω", "kΩ", "ml",
    "l", "s", "ms", "min", "h", "ppm", "%", "%RH", "g", "kg", "N", "kN", "Hz", "kHz", "lx", "mm", "cm", "m", "W", "kW",
    "J", "ml/s", "l/min", "m/s", "km/h",
)  # fmt: skip
_ENDINGS = {name.casefold(): name for name in ("hPa", "kPa", "mbar", "psi", "mmHg", "mV", "ppm", "ml")}
_WORDS = {"celsius": CELSIUS, "fahrenheit": "°F", "kelvin": "K", "ohm": "Ω", "ohms": "Ω"}
_LETTERS = {"c": CELSIUS, "f": "°F", "k": "K"}


@dataclass(frozen=True)
class Units:
    """The units of a calibration.

    Attributes:
        reference: The reference's, and so that of estimates and errors.
        indication: The indication's; None where nobody said.
    """

    reference: str = CELSIUS
    indication: str | None = None

    @property
    def is_temperature(self) -> bool:
        """Whether the reference is in °C, °F or K."""
        return self.reference in ABSOLUTE_ZERO

    @property
    def slope(self) -> str:
        """That of w, in short: ``°C/unit``."""
        return f"{_factor(self.reference)}/{_factor(self.indication or 'unit')}"

    @property
    def slope_in_words(self) -> str:
        """That of w: ``°C per indicated unit``."""
        return f"{self.reference} per {self.indicated}"

    @property
    def squared(self) -> str:
        """That of a mean squared error: ``°C²``."""
        simple = re.fullmatch(r"[°%µ]?[^\W\d_]*", self.reference)
        return f"{self.reference}²" if simple else f"({self.reference})²"

    @property
    def indicated(self) -> str:
        """What an axis of indications says."""
        return self.indication or "indicated unit"


def _factor(unit: str) -> str:
    return f"({unit})" if "/" in unit else unit


def as_unit(text: str, what: str) -> str:
    """Returns a unit as files and sentences hold it: ``°C`` for ``degC``.

    Args:
        text: As somebody wrote it.
        what: The argument that it was given as, for a complaint.

    Raises:
        InputError: It is no short text on one line.
    """
    unit = " ".join(str(text).split())
    if not unit or len(unit) > LONGEST or not str(text).isprintable():
        raise InputError(
            Setting(what),
            f": expected a unit as a text of 1 to {LONGEST} characters, such as °C, hPa or ml/s, but got "
            f"{quoted(text, 60)}",
        )
    return _plain(unit)


def _plain(unit: str) -> str:
    unit = unit.translate(_DEGREES)
    degrees = re.fullmatch(r"(?:°|deg(?:rees?)?\.?)[ _]?([CFK])", unit, re.IGNORECASE)
    if degrees:
        return _LETTERS[degrees[1].lower()]
    return _WORDS.get(unit.casefold(), unit)


def unit_in(name: str, *, temperature: bool) -> str | None:
    """Returns the unit that a column's name names for sure, such as ``Temp, °F (logger 3)``, ``p [hPa]``, ``ref_f``.

    Args:
        name: The column's.
        temperature: Whether it holds temperatures, so that a last ``_c``, ``_f`` or ``_k`` is a scale.

    Returns:
        The unit; None where the name names none.
    """
    text = name.translate(_DEGREES)
    if degrees := re.search(r"°\s?([CFK])(?![^\W\d_])", text):
        return _LETTERS[degrees[1].lower()]
    for inside in re.findall(r"[\[(]\s*([^\[\]()]+?)\s*[\])]", text):
        plain = _plain(inside)
        if plain in ABSOLUTE_ZERO or plain in _BRACKETED:
            return plain
    last = re.split(r"[\s_.,;:-]+", text.strip())[-1].casefold()
    if last == text.strip().casefold():  # a name of one word
        return None
    if last in _LETTERS:
        return _LETTERS[last] if temperature else None
    return _ENDINGS.get(last) or (plain if (plain := _plain(last)) != last else None)


def other_unit(name: str, unit: str, option: str) -> str | None:
    """Says where a column's name names another unit than the one in force, which stays in force.

    Args:
        name: The column's.
        unit: In force.
        option: By which it is chosen.

    Returns:
        A sentence, or None.
    """
    found = unit_in(name, temperature=unit in ABSOLUTE_ZERO)
    if found is None or _same(found, unit):
        return None
    return (
        f"The column {quoted(name)} names {found}, but its values are taken as {unit}: nothing was converted. "
        f"If they are in {found}, add {option} {found}."
    )


def _same(one: str, other: str) -> bool:
    return _plain(one).casefold() == _plain(other).casefold()
