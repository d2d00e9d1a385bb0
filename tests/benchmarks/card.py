"""On a CUDA card: the moments of readings that are resident there, beside a plain copy of the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from thermofit_pl import Moments

from .measuring import Row, Sizes, divided, in_turns, median, seconds


def rows(sizes: Sizes, folder: Path) -> Iterator[Row]:
    """Measures the card, if there is one."""
    if not torch.cuda.is_available():
        return
    n, card = sizes.card, torch.device("cuda")
    generator = torch.Generator(card).manual_seed(0)
    x = torch.rand(n, dtype=torch.float64, device=card, generator=generator) * 70 + 20
    y = 0.5556 * x - 17.78 + torch.randn(n, dtype=torch.float64, device=card, generator=generator)
    other = torch.empty_like(x)
    moments = Moments().to(card)
    for _ in range(3):
        moments.update(x, y)
        other.copy_(x)
    found = in_turns(
        sizes.repeats,
        {
            "moments": lambda: 16 * n / on_card(lambda: moments.update(x, y)),
            "copy": lambda: 16 * n / on_card(lambda: other.copy_(x)),  # 8 bytes read and 8 written
        },
    )
    yield Row(
        f"moments of {n} readings on {torch.cuda.get_device_name()}: bytes/s / a copy's",
        divided(found["moments"], found["copy"]),
        f"{median(found['moments']) / 1e9:.0f} and {median(found['copy']) / 1e9:.0f} GB/s",
    )


def on_card(call: Callable[[], object]) -> float:
    """Returns how long the card takes for a call."""

    def whole() -> None:
        call()
        torch.cuda.synchronize()

    torch.cuda.synchronize()
    return seconds(whole)
