"""Trainer options that a calibration can't keep are refused with a sentence."""

from __future__ import annotations

from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import MPSAccelerator
from torch.optim import Optimizer

from thermofit_pl.errors import InputError
from thermofit_pl.laps import is_plain_sgd
from thermofit_pl.least_squares import stability_limit
from thermofit_pl.moments import Moments


def is_rehearsal(trainer: Trainer) -> bool:
    """Whether the run is Trainer's fast_dev_run, which leaves no files."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]  # set outside the class


def refuse_options(trainer: Trainer) -> None:
    """Refuses what would round the numbers that a person will quote.

    Raises:
        InputError: For a precision other than full, and for an accelerator without float64.
    """
    if trainer.precision not in ("32-true", "64-true"):
        raise InputError(
            f"--trainer.precision: expected 32-true or 64-true, since w and b are float64 whichever it is, "
            f"but got {trainer.precision}, which would round them"
        )
    if isinstance(trainer.accelerator, MPSAccelerator):
        raise InputError("--trainer.accelerator: expected cpu or cuda, but got mps, which has no float64; choose cpu")


def refuse_batch_options(trainer: Trainer) -> None:
    """Refuses, with the full batch, options that speak of mini-batches.

    Raises:
        InputError: For each of them.
    """
    kept = {
        "gradient_clip_val": trainer.gradient_clip_val in (None, 0, 0.0),
        "accumulate_grad_batches": trainer.accumulate_grad_batches == 1,
        "limit_train_batches": is_rehearsal(trainer) or trainer.limit_train_batches in (None, 1.0),
        "overfit_batches": trainer.overfit_batches == 0,  # type: ignore[attr-defined]  # set outside the class
        "val_check_interval": trainer.val_check_interval in (None, 1, 1.0),
        "min_steps": trainer.min_steps is None,
    }
    for option, is_kept in kept.items():
        if not is_kept:
            instead = "--trainer.min_epochs" if option == "min_steps" else "--data.batch_size"
            raise InputError(
                f"--trainer.{option}: expected it to be left out, since all readings are one batch and an epoch is "
                f"--model.steps_per_epoch steps, but got {getattr(trainer, option)}; leave it out, or use {instead}"
            )


def refuse_divergence(moments: Moments, optimizer: Optimizer) -> None:
    """Refuses a learning rate with which plain full-batch SGD must diverge.

    Args:
        moments: Of the normalised readings.
        optimizer: Any.

    Raises:
        InputError: If plain SGD's learning rate isn't strictly below 2/λmax of the loss's Hessian.
    """
    limit = stability_limit(moments).min().item()
    rate = float(optimizer.param_groups[0]["lr"])
    if is_plain_sgd(optimizer) and rate >= limit:
        raise InputError(
            f"--model.learning_rate: expected less than {limit:.4g}, below which SGD converges on these readings "
            f"(2/λmax of the loss's Hessian), but got {rate:g}, with which it diverges; "
            "lower it, or normalise the indications with --data.normalization standard"
        )
