"""Formulas as expressions of languages that have infix arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thermofit_pl.export.formula import Platinum, Powers, SteinhartHart


@dataclass(frozen=True)
class Dialect:
    """How a language writes numbers and functions.

    Attributes:
        number: Writes a number, negative ones with a leading ``-``.
        log: Writes the natural logarithm of an expression.
        sqrt: Writes the square root of an expression.
    """

    number: Callable[[float], str]
    log: Callable[[str], str]
    sqrt: Callable[[str], str]

    def inner(self, value: float) -> str:
        """Writes a number that stands after an operator: a negative one in brackets."""
        text = self.number(value)
        return f"({text})" if text.startswith("-") else text


def _plus(text: str) -> str:
    """Writes a number's text as a term to add."""
    return f"- {text[1:]}" if text.startswith("-") else f"+ {text}"


def powers(formula: Powers, x: str, dialect: Dialect) -> str:
    """Writes a polynomial by Horner's scheme: ``^`` and unary minus don't mean the same everywhere.

    Args:
        formula: The polynomial.
        x: The indication's name.
        dialect: The language.
    """
    t = f"({x} {_plus(dialect.number(-formula.centre))})" if formula.centre else x
    *lower, highest = formula.coefficients
    if len(lower) == 1:
        return f"{dialect.number(highest)} * {t} {_plus(dialect.number(lower[0]))}"
    text = dialect.inner(highest)
    for coefficient in reversed(lower[1:]):
        text = f"({dialect.number(coefficient)} + {t} * {text})"
    return f"{dialect.number(lower[0])} + {t} * {text}"


def steinhart_hart(formula: SteinhartHart, log: str, dialect: Dialect) -> str:
    """Writes a thermistor's curve.

    Args:
        formula: The curve.
        log: The name, or the expression, of ln R.
        dialect: The language.
    """
    factors: Sequence[float] = (formula.a, formula.b, formula.square, formula.c)
    while len(factors) > 2 and not factors[-1]:
        factors = factors[:-1]
    text = dialect.inner(factors[-1])
    for k in range(len(factors) - 2, 0, -1):
        text = f"{log} * {text}" if not factors[k] else f"({dialect.number(factors[k])} + {log} * {text})"
    whole = f"{dialect.number(formula.kelvin)} / ({dialect.number(formula.a)} + {log} * {text})"
    return f"{whole} {_plus(dialect.number(-formula.zero))}" if formula.zero else whole


def platinum(formula: Platinum, x: str, dialect: Dialect) -> str:
    """Writes a platinum thermometer's curve from 0 °C, in the form that loses no digits at 0 °C.

    Args:
        formula: The curve.
        x: The indication's name.
        dialect: The language.
    """
    number, inner = dialect.number, dialect.inner
    excess = f"({x} / {number(formula.r0)} - {number(1.0)})"
    a = formula.a
    root = dialect.sqrt(f"{number(a)} * {number(a)} + {number(4.0)} * {inner(formula.b)} * {excess}")
    return f"{number(2.0)} * {excess} / ({number(a)} + {root})"
