"""From a fit in this process to its calibration."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lightning import __version__
from torch.optim import Optimizer

from thermofit_pl.calibration.records import Source
from thermofit_pl.errors import Setting
from thermofit_pl.functional.units import CELSIUS
from thermofit_pl.metrics.least_squares import Fit
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.metrics.time_order import TimeOrder
from thermofit_pl.results.analyse import Analysis
from thermofit_pl.results.build import OptimizerOutcome, Result, build
from thermofit_pl.results.columns import single, tabulate
from thermofit_pl.results.stated import Known
from thermofit_pl.tables.sample import Sample
from thermofit_pl.training.convergence import tolerances
from thermofit_pl.training.laps import is_plain_sgd

if TYPE_CHECKING:
    from thermofit_pl.calibration.calibration import Calibration
    from thermofit_pl.calibration.calibrations import Calibrations
    from thermofit_pl.training.datamodule import ReadingsDataModule
    from thermofit_pl.training.module import CalibrationModule


@dataclass
class Fitted:
    """The readings of a fit, and what they say of their curve.

    Attributes:
        moments: Of the raw training readings.
        fit: Their exact curve.
        sample: A bounded sample of them.
        source: Where they come from.
        log: What their order in time tells, if they are a log.
        unit: The reference's.
        known: What is stated of their uncertainties.
        instruments: The names of the instruments; None where there is one.
        instrument_column: The column that named them.
        batch_size: Readings in a mini-batch; None where all were one.
        standard: Whether SGD saw them with standard normalisation.
    """

    moments: Moments
    fit: Fit
    sample: Sample
    source: Source
    log: TimeOrder | None = None
    unit: str = CELSIUS
    known: Known = Known()  # noqa: RUF009  # immutable
    instruments: list[str] | None = None
    instrument_column: str | None = None
    batch_size: int | None = None
    standard: bool = False
    optimizer: Optimizer | None = None  # that trains on them
    _analysis: Future[Analysis] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, data: ReadingsDataModule) -> Fitted:
        """Returns those of a data module that has read them."""
        return cls(
            data.moments["train"],
            data.line,
            data.sample,
            data.provenance(),
            data.log,
            data.units.reference,
            data.known,
            data.instruments,
            data.instrument,
            data.batch_size,
            data.normalization_rule == "standard",
        )

    def analyse(self) -> Future[Analysis]:
        """Starts to examine the readings, beside the optimiser, which needs nothing of that."""
        if self._analysis is None:
            worker = ThreadPoolExecutor(1)
            examined = self.moments, self.fit, self.sample, self.log, self.unit, self.known
            self._analysis = worker.submit(Analysis.of, *examined)
            worker.shutdown(wait=False)
        return self._analysis

    def result(self, module: CalibrationModule, name: Callable[[Setting], str] = str) -> Result:
        """Returns what the fit found, with where the optimiser is.

        Args:
            module: Which was trained on them.
            name: Names a setting that advice speaks of.
        """
        return build(
            self.analyse().result(),
            ended=self.ended(module, name),
            finish="least_squares" if module.finish == "least_squares" else "sgd",
            snap=module.snap,
        )

    def calibration(
        self, module: CalibrationModule, name: Callable[[Setting], str] = str
    ) -> Calibration | Calibrations:
        """Returns the calibration of the one instrument, or those of all, as ``result`` takes its arguments."""
        result = self.result(module, name)
        if self.instruments is None:
            return single(result, self.source, lightning=__version__)
        return tabulate(
            result, self.instruments, self.source, instrument_column=self.instrument_column, lightning=__version__
        )

    def ended(self, module: CalibrationModule, name: Callable[[Setting], str] = str) -> OptimizerOutcome:
        """Compares where the optimiser is with the exact curve."""
        optimizer = self.optimizer
        assert optimizer is not None
        w, b = (value.cpu() for value in module.raw)
        plain = is_plain_sgd(optimizer) and self.batch_size is None
        normalization = module.normalization
        return OptimizerOutcome.at(
            w,
            b,
            self.moments,
            normalized=self.moments.normalized(normalization.offset.cpu(), normalization.scale.cpu())
            if plain
            else None,
            tolerance=tolerances(self.moments, self.fit, module.tolerance),
            steps=module.steps,
            learning_rate=float(optimizer.param_groups[0]["lr"]),
            advice=lambda more: self._advice(module, more, name),
        )

    def _advice(self, module: CalibrationModule, steps: int | None, name: Callable[[Setting], str]) -> str:
        if steps is not None:
            epochs = -(-(module.steps + steps) // module.steps_per_epoch)
            more = name(Setting("max_epochs", epochs))
            return more if self.standard else f"{more}, or {name(Setting('normalization', 'standard'))}"
        if self.batch_size is not None:
            return (
                "more epochs, larger batches or a learning rate that falls; mini-batches go on wandering about the line"
            )
        return f"more steps ({name(Setting('max_epochs'))}) or another learning rate"
