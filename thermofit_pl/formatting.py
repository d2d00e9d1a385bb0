"""How numbers and names are written for people."""

from __future__ import annotations

import math
import os
import re
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

# halves of characters stand for bytes that aren't UTF-8; a column may be named over two lines, none rings the bell
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PLAIN = range(-4, 7)  # powers of ten that are written out


def short(value: float, u: float | None) -> str:
    """Writes a value with its standard uncertainty in the field's short form: ``0.537(36)``, ``−17.3(1.9)``.

    Args:
        value: A finite number.
        u: Its standard uncertainty, of which two digits are kept; they count in the value's last places, unless they
            have a decimal point themselves. None where it is unknown, 0 where there is none.

    Returns:
        The text, with a minus sign (U+2212); very large and very small ones as ``5.37(36)e-7``.
    """
    if not u:
        return signed(f"{value:.6g}" if u is None else f"{value:.12g}")
    with localcontext() as context:
        context.prec, context.rounding = 700, ROUND_HALF_EVEN  # all places of any two float64
        spread = Decimal(f"{u:.1e}")
        exact = Decimal(value)
        exponent = max(exact.adjusted() if exact else spread.adjusted(), spread.adjusted())
        power = 0 if exponent in _PLAIN else exponent
        spread, exact = spread.scaleb(-power), exact.scaleb(-power)
        place = spread.adjusted() - 1
        rounded = exact.quantize(Decimal(1).scaleb(place))
        digits = f"{spread:f}" if spread.adjusted() >= 0 else f"{spread.scaleb(-place):.0f}"
        places = max(-place, 0)
        return f"{signed(f'{rounded:.{places}f}')}({digits})" + (f"e{power}".replace("-", "−") if power else "")


def number(value: float, error: float = math.inf) -> str:
    """Writes a number with six digits, or as many more as keep it to within an error: ``0.5``, ``−5.06567e−05``.

    Whole numbers keep all their digits: ``8412345``.

    Args:
        value: The number.
        error: The most by which it may be off.
    """
    if value == int(value) and abs(value) < 1e15:
        return signed(f"{value:.0f}")
    text = next((t for d in range(6, 17) if abs(float(t := f"{value:.{d}g}") - value) <= error), f"{value:.17g}")
    return signed(f"{Decimal(text):f}" if "e+" in text and abs(value) < 1e15 else text)


def signed(text: str) -> str:
    """Gives a number's text a minus sign instead of a hyphen, and none to a zero."""
    text = text.replace("-", "−")
    return text.removeprefix("−") if not text.strip("−0.") else text


def two_digits(value: float) -> str:
    """Writes a size with two digits: ``0.16``, ``55``, ``280``, ``1.2e-07``."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    return f"{Decimal(f'{value:.1e}'):f}" if 1e-4 <= abs(value) < 1e6 else f"{value:.1e}"


def count(number: int) -> str:
    """Writes a count with its thousands apart: ``5 000``."""
    return f"{number:,}".replace(",", " ")


def p_text(p: float) -> str:
    """Writes a p-value for a sentence: ``p = 0.61``, ``p = 4e-16``, ``p < 1e-300``."""
    if p < 1e-300:
        return "p < 1e-300"
    return f"p = {p:.2f}" if p >= 0.0095 else f"p = {p:.1g}".replace("e-0", "e-")


def below(p: float) -> str:
    """Writes a bound above a p-value, for a sentence: ``p < 1e-12`` for 3e-13."""
    if p >= 0.01:
        return "p < 0.05"
    exponent = math.floor(math.log10(p)) + 1 if p > 1e-300 else -300
    return f"p < {10.0**exponent:g}" if exponent > -4 else f"p < 1e{exponent}"


def printable(text: str | os.PathLike[str], longest: int = 200) -> str:
    r"""Makes a text from a file or a name safe for a terminal and for one line.

    Args:
        text: Any text, or a path; of one with a ``label``, that.
        longest: The most characters to keep.

    Returns:
        The text with everything that doesn't print (control characters, direction marks, half characters) as ``\n``,
        ``\x1b``, ...
    """
    whole: str = getattr(text, "label", None) or os.fspath(text)
    kept = whole if len(whole) <= longest else f"{whole[: longest - 1]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in kept)


def is_plain(name: str | os.PathLike[str]) -> bool:
    """Whether a name is UTF-8 text without control characters, so that files of ours can hold it."""
    return _UNPRINTABLE.search(os.fspath(name)) is None


def quoted(text: object, limit: int = 40) -> str:
    """Returns a text from a file in quotes, shortened, and without anything that a terminal would act on."""
    return f"'{printable(str(text), limit)}'"
