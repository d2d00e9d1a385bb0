"""What was typed, in the order in which it means what it says, and the checkpoint that it names."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.pytorch.cli import LightningArgumentParser

from thermofit_pl.errors import InputError

COMMANDS = ("fit", "validate", "test", "predict")
ROOT = "logs"


class Parser(LightningArgumentParser):
    """Takes options in full only, and complains in one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # argparse's own, handed on
        super().__init__(*args, **(kwargs | {"allow_abbrev": False}))

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises what went wrong as one sentence, with the nearest option to one that does not exist."""
        text = " ".join(message.split())
        wrong = next((word for word in text.split() if word.startswith("--")), "").split("=")[0]
        if "nrecognized arguments" in text:
            near = get_close_matches(wrong, self._option_string_actions, n=1, cutoff=0.5)
            text = f"there is no option {wrong}" + (f"; did you mean {near[0]}?" if near else "; --help lists them all")
        print(f"thermofit_pl: error: {text}", file=sys.stderr)
        raise SystemExit(2)


def newest_checkpoint() -> Path:
    """Returns the newest checkpoint of all fits under ``logs``."""
    found = sorted(Path(ROOT).glob("*/*/checkpoints/*.ckpt"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError(f"--ckpt_path last: expected a checkpoint of an earlier fit under {ROOT}/, but there is none")
    return found[-1]


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Loads a local checkpoint without running any code that it may carry.

    Raises:
        InputError: If it can't be loaded so.
    """
    if os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "").lower() in ("1", "y", "yes", "true"):
        raise InputError(
            "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD: expected it unset, since it lets a checkpoint run code; unset it"
        )
    if "://" in str(path) or str(path).startswith(("http:", "https:", "s3:", "gs:", "hf:")):
        raise InputError(f"--ckpt_path: expected a file on this computer, but got {path}; download it first")
    if not path.is_file():
        raise InputError(f"--ckpt_path: expected a checkpoint, but there is no file {path}")
    try:
        checkpoint: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        w, b = checkpoint["state_dict"]["w"], checkpoint["state_dict"]["b"]
    except Exception as error:  # a damaged or hostile file fails in many ways
        what = "one that carries code" if "Weights only" in str(error) else type(error).__name__
        raise InputError(f"--ckpt_path: expected a checkpoint of a fit, but could not load {path} ({what})") from error
    if w.shape != b.shape or w.ndim != 1:
        raise InputError(
            f"--ckpt_path: expected w and b of one shape in {path}, but got {tuple(w.shape)} and {tuple(b.shape)}"
        )
    return checkpoint


def arrange(argv: list[str]) -> list[str]:
    """Puts the arguments into the order in which they mean what they say.

    A --config stands before all options, which then win over it, wherever it was typed; the configuration of a
    checkpoint's own run stands before that.
    """
    at = next(i for i, word in enumerate(argv) if word in COMMANDS)
    command, before, after = argv[at], argv[:at], argv[at + 1 :]
    configs, rest = split_off(before, ("--config", "-c"))
    if rest:
        raise InputError(f"expected options after the command {command}, but got {rest[0]} before it")
    more, rest = split_off(after, ("--config", "-c"))
    checkpoints, rest = split_off(rest, ("--ckpt_path",))
    if not checkpoints:
        return [command, *configs, *more, *rest]
    path = checkpoints[-1]
    if path == "last":
        path = str(newest_checkpoint())
    base: list[str] = []
    own = Path(path).parent.parent / "config.yaml"
    if own.is_file():
        base = ["--config", str(own)]
        if command != "fit" and any(word.split("=")[0] == "--data.path" for word in rest):
            base += [f"--data.{option}=0" for option in ("val_fraction", "test_fraction")]
            base += [f"--data.{option}=null" for option in ("val_path", "test_path")]
    return [command, *base, *configs, *more, *rest, "--ckpt_path", path]


def split_off(words: list[str], options: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Returns the values of some options (for --config, with the option), and the words that are left."""
    taken: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(words):
        name, equals, value = words[position].partition("=")
        if name in options and (equals or position + 1 < len(words)):
            if not equals:
                position += 1
                value = words[position]
            taken += [value] if "--ckpt_path" in options else ["--config", value]
        else:
            rest.append(words[position])
        position += 1
    return taken, rest
