"""How the bytes of a text table mean characters: UTF-8, or what Windows wrote before it."""

from __future__ import annotations

import re
from pathlib import Path

from thermofit_pl.errors import InputError
from thermofit_pl.formatting import printable

WINDOWS = "cp1252"
# letters and signs of Western and Central Europe in UTF-8; in cp1252 they would be pairs such as Ã¼, or â€“
UTF8 = re.compile(rb"[\xc2-\xc5][\x80-\xbf]|\xe2[\x80-\xbf]{2}")


def encoding_of(path: Path, sample: bytes) -> str:
    """Finds out how text is encoded.

    Args:
        path: The file.
        sample: Its beginning, whole lines.

    Raises:
        InputError: It is UTF-8 in part only.
    """
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if UTF8.search(sample):
            row = 1 + sample.count(b"\n", 0, error.start)
            raise not_encoded(path, row, sample[error.start], "utf-8") from None
        return WINDOWS
    return "utf-8"


def not_encoded(path: Path, row: int, byte: int, encoding: str) -> InputError:
    """The complaint about a byte that stands for no character."""
    expected = "text in UTF-8, as elsewhere in the file" if encoding == "utf-8" else "text in UTF-8 or Windows-1252"
    return InputError(
        f"{printable(path)}, row {row}: expected {expected}, but got the byte 0x{byte:02X}, which is none there; save "
        "the whole table as UTF-8."
    )
