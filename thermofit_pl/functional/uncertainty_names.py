"""Which names of columns say that an uncertainty stands in them, and whether it is an expanded one."""

from __future__ import annotations

import re
from typing import NamedTuple

# the word in the languages whose certificates we have seen; 'u' and 'U' alone or beside a quantity's name
_WORDS = (
    "uncert", "unsicherheit", "incertitude", "incertidumbre", "incerteza", "incertezza", "onzekerheid", "osäkerhet",
    "usikkerhed", "usikkerhet", "epävarmuus", "niepewno", "nejistot", "neistot", "bizonytalans", "belirsizli",
    "неопредел", "不确定度", "不確定度", "不確かさ", "불확도",
)  # fmt: skip
_EXPANDED = re.compile(r"expanded|erweitert|élargie|elargie|expandid|ampliad|estesa|扩展|拡張|확장", re.IGNORECASE)
_FACTOR = re.compile(r"\bk\s*=\s*(\d+(?:[.,]\d+)?)", re.IGNORECASE)
_WORD = re.compile("|".join(_WORDS), re.IGNORECASE)
_U = re.compile(r"(?:^|[^A-Za-z])[uU](?:$|[\s_(\[]|95\b|c\b)|^[uU](?:_|\(|[xy]$)|_[uU]$")
_CAPITAL = re.compile(r"(?:^|[^A-Za-z])U(?:$|[\s(\[]|95\b)")
_SPREAD = re.compile(
    r"(?:^|[_\s.(-])(?:sigma|unc|std|stdev|stddev|std_?dev|sd|sem|stderr|err)(?:$|[_\s.)-])|σ", re.IGNORECASE
)
_VOLTAGE = re.compile(r"\b[mkµ]?V\b|volt", re.IGNORECASE)  # U is a voltage too
_PERCENT = re.compile(r"%|\bpercent\b|\brel\b", re.IGNORECASE)


class Said(NamedTuple):
    """What a column's name says of an uncertainty in it.

    Attributes:
        expanded: Whether it says that it is an expanded one: by its words, by ``k=``, or by a capital U of its own.
        coverage_factor: k, if it says it.
        percent: Whether it speaks of per cent.
    """

    expanded: bool
    coverage_factor: float | None
    percent: bool


def said(name: str) -> Said | None:
    """Returns what a column's name says of an uncertainty in it; None where it doesn't speak of any.

    Args:
        name: As it stands in the table.

    Example:
        >>> said("Expanded uncertainty U (k=2)")
        Said(expanded=True, coverage_factor=2.0, percent=False)
        >>> said("u_ref")
        Said(expanded=False, coverage_factor=None, percent=False)
        >>> said("humidity") is None
        True
    """
    factor = _FACTOR.search(name)
    sign = _U.search(name) and not _VOLTAGE.search(name)
    if not (factor or _WORD.search(name) or sign or _SPREAD.search(name)):
        return None
    k = float(factor[1].replace(",", ".")) if factor else None
    expanded = bool((k is not None and k != 1) or _EXPANDED.search(name) or _CAPITAL.search(name))
    return Said(expanded, k, bool(_PERCENT.search(name)))
