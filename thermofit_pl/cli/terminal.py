"""Standard streams that take whatever is printed: in plain words where the terminal lacks a sign, and also closed."""

from __future__ import annotations

import codecs
import io
import locale
import os
import sys
import unicodedata
from contextlib import suppress

PLAIN = {
    "·": "*",
    "−": "-",
    "–": "-",
    "×": "x",
    "±": "+/-",
    "°": "deg ",
    "²": "^2",
    "…": "...",
    "←": "<-",
    "→": "->",
    "λ": "lambda",
    "σ": "sigma",
    "Σ": "sum",
    "χ": "chi",
    "√": "sqrt ",
    "≤": "<=",
    "≥": ">=",
    "µ": "u",
    "Ω": "ohm",
}
HANDLER = "thermofit_pl.plain"


def in_plain_words(error: UnicodeError) -> tuple[str, int]:
    """Writes signs that an encoding lacks in those that it has: a codecs error handler.

    Letters lose their accents. What has no plain word becomes its escape, which tells names apart; ``?`` does not.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(sign: str) -> str:
    letter = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return PLAIN.get(sign) or letter or sign.encode("ascii", "backslashreplace").decode()


def settle_streams() -> None:
    """Makes standard output and error take every sign; of a closed one, keeps the number from the next file opened.

    Windows' code pages, latin-1 and ASCII lack ``·``, ``−`` or ``°``: a fit would end with an error after all its work.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:  # else an event file could become "standard error"
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # it lasts as long as the process
    _read_and_write_utf8()
    codecs.register_error(HANDLER, in_plain_words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _read_and_write_utf8() -> None:
    """Makes UTF-8 the encoding of files for whose encoding nobody asks, as jsonargparse doesn't for a configuration."""
    for name in ("C.UTF-8", "C.utf8", "UTF-8"):  # those that Python itself tries in a C locale (PEP 538)
        with suppress(locale.Error):
            locale.setlocale(locale.LC_CTYPE, name)
            return
