"""Tasmota: ``TempOffset``, an offset of all its temperature sensors, in tenths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thermofit_pl.export.formula import CannotHoldError, FloatArray
from thermofit_pl.export.offset import offset
from thermofit_pl.export.proof import Draft
from thermofit_pl.export.view import View

COMMENT, SUFFIX = "# ", ".txt"
MOST = 12.6  # the offset is kept as tenths in eight bits


def drafts(view: View) -> Iterator[Draft]:
    """Yields the command."""
    b = offset(view)
    if abs(b) > MOST:
        raise CannotHoldError(f"it holds offsets from -{MOST} to {MOST}, and this one is {b:.6g} {view.unit}")
    text = f"{round(b, 1) + 0.0:.1f}"

    def evaluate(x: FloatArray) -> FloatArray:
        tenths = int(np.float32(float(text)) * np.float32(10))  # as its (int8_t)(CharToFloat(data) * 10)
        return (x.astype(np.float32) + np.float32(0.1) * np.float32(tenths)).astype(np.float64)

    remark = "of all temperature sensors of the device; type the command without these lines"
    yield Draft(f"TempOffset {text}\n", "as a whole number of tenths", evaluate, (remark,))
