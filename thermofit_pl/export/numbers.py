"""How numbers and names are written for machines."""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np

from thermofit_pl.formatting import printable


def double(value: float) -> str:
    """Writes a float64 with the fewest digits that give it back, and as YAML 1.1 takes it: ``1.0e-05``."""
    text = repr(float(value))
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}" if e else text


def _float32(value: float) -> np.float32:
    with np.errstate(over="ignore"):  # an infinite number fails the proof
        return np.float32(value)


def single(value: float) -> str:
    """Writes a number with the fewest digits, nine at most, that give its float32 back."""
    text = str(_float32(value))
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}" if e else text


def significant(value: float, digits: int) -> float:
    """Returns the number that so many digits say."""
    return float(f"{value:.{digits - 1}e}")


def plain(value: float) -> str:
    """Writes a float32 without an exponent, for parsers that stop at an ``e``."""
    return f"{Decimal(str(_float32(value))):f}"


def to_single(value: float) -> float:
    """Returns the float32 nearest to a number."""
    return float(_float32(value))


def between(value: float, span: float) -> float:
    """Rounds a number inside a range to a millionth of the range's span or better: short, where its place is free."""
    return round(value, max(0, 6 - math.floor(math.log10(span)))) if span > 0 and math.isfinite(span) else value


def places(size: float) -> int:
    """Returns how many decimals a number needs so that its last one is no more than ``size``."""
    return max(0, math.ceil(-math.log10(size))) if size > 0 else 12


def slug(name: str) -> str:
    """Makes a name that every target takes as an identifier: ``[a-z][a-z0-9_]*``, 40 characters at most."""
    text = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40].rstrip("_")
    return text if text[:1].isalpha() else f"probe_{text}".rstrip("_")


def ascii_text(text: str, longest: int = 400) -> str:
    """Makes a text safe for a comment of any target: one line, ASCII, and nothing that ends the comment."""
    safe = printable(text.replace("°", "deg").replace("−", "-").replace("²", "^2"), longest)
    plain_text = safe.encode("ascii", "backslashreplace").decode().replace("\\", "/")
    return plain_text.replace("*/", "* /").replace("/*", "/ *")
