"""Moments against exact arithmetic: Python's fractions, mpmath, NumPy and autograd."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from thermofit_pl.metrics.forming import CHUNK, of_columns, of_instruments
from thermofit_pl.metrics.merging import merge_all
from thermofit_pl.metrics.moments import Moments
from thermofit_pl.training.loaders import Batch

FloatArray = NDArray[np.float64]


def of(x: FloatArray, y: FloatArray, cuts: list[int] | None = None) -> Moments:
    """Moments of readings, in batches that end at ``cuts``."""
    moments = Moments()
    for part_x, part_y in zip(np.split(x, cuts or []), np.split(y, cuts or []), strict=True):
        moments.update(torch.from_numpy(part_x), torch.from_numpy(part_y))
    return moments


def exactly(x: FloatArray, y: FloatArray) -> dict[str, float]:
    """The same six numbers in rational arithmetic."""
    fx, fy = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    n, sum_x, sum_y = len(fx), sum(fx), sum(fy)
    sxx = sum(v * v for v in fx) - sum_x * sum_x / n
    syy = sum(v * v for v in fy) - sum_y * sum_y / n
    sxy = sum(a * b for a, b in zip(fx, fy, strict=True)) - sum_x * sum_y / n
    slope = sxy / sxx
    sse = float(syy - slope * sxy)
    return {
        "mean_indication": float(sum_x / n),
        "mean_reference": float(sum_y / n),
        "sxx": float(sxx),
        "slope": float(slope),
        "sse": sse,
        "s": (sse / (n - 2)) ** 0.5,
    }


def numbers(moments: Moments, index: int = 0) -> dict[str, float]:
    _, mean_x, mean_y, sxx, slope, sse = moments.factor[index].tolist()
    found = {"mean_indication": mean_x, "mean_reference": mean_y, "sxx": sxx, "slope": slope, "sse": sse}
    return found | {"s": (found["sse"] / (moments.count[index].item() - 2)) ** 0.5}


def cuts_of(kind: str, n: int) -> list[int]:
    if kind == "one batch":
        return []
    if kind == "singletons":
        return list(range(1, n))
    return sorted(np.random.default_rng(3).integers(0, n, size=999).tolist())  # a thousand; some of them empty


def fine_thermometer(n: int = 2000) -> tuple[FloatArray, FloatArray]:
    """0.1 mK about a line over 100 °C."""
    random = np.random.default_rng(1)
    x = np.linspace(0.0, 100.0, n)
    return x, 1.0003 * x - 0.17 + 1e-4 * random.standard_normal(n)


@pytest.mark.parametrize("batches", ["one batch", "thousand", "singletons"])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_tenth_of_a_millikelvin_over_a_hundred_degrees_to_ten_digits(order: str, batches: str) -> None:
    x, y = fine_thermometer()
    if order == "shuffled":
        chosen = np.random.default_rng(2).permutation(len(x))
        x, y = x[chosen], y[chosen]
    found, exact = numbers(of(x, y, cuts_of(batches, len(x)))), exactly(x, y)
    assert found["s"] == pytest.approx(exact["s"], rel=1e-10, abs=0)
    for name in ("mean_indication", "mean_reference", "sxx", "slope"):
        assert found[name] == pytest.approx(exact[name], rel=1e-13, abs=0), name


@pytest.mark.parametrize("batches", ["one batch", "thousand", "singletons"])
def test_indications_of_mean_a_million_and_spread_one(batches: str) -> None:
    random = np.random.default_rng(4)
    x = 1e6 + random.standard_normal(3000)
    y = 2.5 * (x - 1e6) + 20 + random.standard_normal(3000)
    found, exact = numbers(of(x, y, cuts_of(batches, len(x)))), exactly(x, y)
    # indications of this size are rounded to 1e-10 of their spread before anybody sums them, means of batches once more
    tolerance = 1e-12 if batches == "one batch" else 1e-10
    for name in ("sxx", "slope", "sse", "s"):
        assert found[name] == pytest.approx(exact[name], rel=tolerance, abs=0), name


@pytest.mark.parametrize("cuts", [[], [100, 200, 300, 400], [1, 7, 150, 250, 499]])
def test_plateaus_of_repeated_set_points(cuts: list[int]) -> None:
    x = np.repeat([0.1, 25.3, 50.7, 75.9, 100.1], 100)
    y = x / 1.0007 + 0.02 + 1e-4 * np.random.default_rng(5).standard_normal(500)
    found, exact = numbers(of(x, y, cuts)), exactly(x, y)
    assert found["s"] == pytest.approx(exact["s"], rel=1e-10, abs=0)
    assert found["slope"] == pytest.approx(exact["slope"], rel=1e-13, abs=0)


@pytest.mark.parametrize("value", [0.1, 35.7, -1e6 / 3])
@pytest.mark.parametrize("n", [3, 7, 1000, CHUNK + 5])
@pytest.mark.parametrize("instruments", [1, 2])
def test_equal_indications_leave_no_spread_and_no_slope(value: float, n: int, instruments: int) -> None:
    # a mean that is off by rounding would leave a spread of 1e-17, and a slope of noise over noise
    x = torch.full((n,), value, dtype=torch.float64)
    y = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moments = Moments(instruments)
    index = None if instruments == 1 else torch.ones(n, dtype=torch.int64)
    for _ in range(3):
        moments.update(x, y, index)
    assert not moments.has_curve[-1]
    assert moments.exact[0][-1] == 0
    assert moments.feature_means[..., 0][-1].item() == pytest.approx(value, rel=2e-15, abs=0)
    assert moments.sse[-1].item() == pytest.approx(3 * n * y.numpy().var(), rel=1e-10, abs=0)


@pytest.mark.parametrize("batches", ["one batch", "thousand", "singletons"])
def test_an_exact_table_leaves_no_more_than_rounding(batches: str) -> None:
    x = np.linspace(-40.0, 212.0, 2521)
    moments = of(x, (x - 32) / 1.8, cuts_of(batches, len(x)))
    units = 4 if batches == "one batch" else len(x) ** 0.5  # a mean drifts by half a unit an update
    assert 0 <= (moments.sse.item() / len(x)) ** 0.5 < units * 2.2e-16 * 212
    assert moments.exact[0].item() == pytest.approx(5 / 9, rel=4 * units * 2.2e-16, abs=0)


def test_against_mpmath_on_large_chunks() -> None:
    random = np.random.default_rng(6)
    n = CHUNK + 1000
    x = 300 + 5 * random.standard_normal(n)
    y = 0.1 * x + 1e-5 * random.standard_normal(n)
    with mpmath.workdps(40):
        mx, my = mpmath.fsum(x) / n, mpmath.fsum(y) / n
        dx, dy = [mpmath.mpf(v) - mx for v in x.tolist()], [mpmath.mpf(v) - my for v in y.tolist()]
        sxx, sxy = mpmath.fdot(dx, dx), mpmath.fdot(dx, dy)
        sse = float(mpmath.fdot(dy, dy) - sxy * sxy / sxx)
    # two chunks' means are rounded to ε of 30 °C, which is 3e-12 of 2·s·√n
    assert of(x, y).sse.item() == pytest.approx(sse, rel=4e-12, abs=0)
    assert of(x, y).exact[0].item() == pytest.approx(float(sxy / sxx), rel=1e-14, abs=0)


def test_equal_references_leave_no_slope() -> None:
    x = np.array([0.1, 2.7, 3.3, 9.9, 5.2, 7.7])
    slope, sse = of_columns([x, np.full(6, 20.1)])[0][4:6]
    assert abs(slope) < 1e-15
    assert sse < 1e-28


def test_chunks_have_the_digits_of_one_pass_over_all() -> None:
    x, y = fine_thermometer(CHUNK + 100)
    chunks = torch.tensor(of_columns([x + 1e4, y]), dtype=torch.float64)
    whole = of_instruments([torch.from_numpy(x + 1e4), torch.from_numpy(y)], None, None, 1)
    torch.testing.assert_close(merge_all(chunks[:, None]), whole, rtol=2e-11, atol=0)
    assert len(chunks) == 2
    assert whole[0, 5].item() == pytest.approx(exactly(x + 1e4, y)["sse"], rel=2e-11)


def test_merge_state_is_as_good_as_one_update() -> None:
    x, y = fine_thermometer()
    whole, parts = of(x, y), [of(x[i::7], y[i::7]) for i in range(7)]
    merged = parts[0]
    for part in parts[1:]:
        merged.merge_state(part)
    assert merged.count.item() == len(x)
    torch.testing.assert_close(merged.moments, whole.moments, rtol=1e-10, atol=0)
    assert (merged.lowest.item(), merged.highest.item()) == (x.min(), x.max())


def test_a_billion_readings_by_merging_copies() -> None:
    x, y = fine_thermometer(1000)
    exact = exactly(x, y)
    total, copy = of(x, y), of(x, y)
    for _ in range(20):
        copy.merge_state(total)
        total = copy
        copy = Moments()
        copy.merge_state(total)
    n = total.count.item()
    assert n == 1000 * 2**20  # 1.05e9
    assert total.exact[0].item() == pytest.approx(exact["slope"], rel=1e-14, abs=0)
    assert (total.sse.item() / n) ** 0.5 == pytest.approx((exact["sse"] / 1000) ** 0.5, rel=1e-12, abs=0)
    assert total.factor[0, 3].item() / n == pytest.approx(exact["sxx"] / 1000, rel=1e-13, abs=0)


def test_a_process_without_readings_is_silent() -> None:
    x, y = fine_thermometer(100)
    full, empty = of(x, y), Moments()
    for parts in ([full, empty], [empty, full], [empty, full, empty]):
        reduced = merge_all(torch.stack([part.moments for part in parts]))
        torch.testing.assert_close(reduced, full.moments, rtol=1e-15, atol=0)
    assert empty.mse(torch.ones(1).double(), torch.ones(1).double()).item() == 0
    assert merge_all(torch.zeros(3, 2, 9)).tolist() == torch.zeros(2, 9).tolist()


def test_an_empty_batch_changes_nothing() -> None:
    x, y = fine_thermometer(50)
    moments = of(x, y)
    before = moments.moments.clone()
    moments.update(torch.empty(0), torch.empty(0))
    assert torch.equal(moments.moments, before)
    assert moments.lowest.item() == x.min()


def three_instruments() -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    random = np.random.default_rng(7)
    instrument = random.integers(0, 3, size=900)
    instrument[instrument == 1] = 2  # the second has no readings
    x = 10.0 ** (instrument + 1) * (1 + random.standard_normal(900))
    return x, (0.5 + instrument) * x + random.standard_normal(900), instrument


@pytest.mark.parametrize("cuts", [[], [10, 11, 400]])
def test_several_instruments_are_as_each_alone(cuts: list[int]) -> None:
    x, y, instrument = three_instruments()
    together = Moments(3)
    for part in zip(*(np.split(column, cuts) for column in (x, y, instrument)), strict=True):
        together.update(*(torch.from_numpy(column) for column in part))
    for index in (0, 2):
        alone = of(x[instrument == index], y[instrument == index])
        torch.testing.assert_close(together.moments[index], alone.moments[0], rtol=1e-12, atol=0)
        assert together.lowest[index] == alone.lowest[0]
        assert together.highest[index] == alone.highest[0]
    assert together.moments[1].tolist() == [0.0] * 9
    assert (together.lowest[1].item(), together.highest[1].item()) == (np.inf, -np.inf)


def lines(instruments: int, requires_grad: bool = True) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(8)
    w, b = torch.randn(2, instruments, dtype=torch.float64, generator=random)
    return w.clone().requires_grad_(requires_grad), b.clone().requires_grad_(requires_grad)


def test_mse_and_gradient_are_those_of_the_readings() -> None:
    x, y, instrument = three_instruments()
    moments = Moments(3)
    moments.update(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(instrument))
    w, b = lines(3)
    moments.mse(w, b).sum().backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    assert b.grad is not None
    for i in (0, 2):
        mine = instrument == i
        error = w[i].item() * x[mine] + b[i].item() - y[mine]
        assert moments.mse(w, b)[i].item() == pytest.approx(np.mean(error**2), rel=1e-13, abs=0)
        assert moments.mean_error(w, b)[i].item() == pytest.approx(error.mean(), rel=1e-12, abs=0)
        assert w.grad[i].item() == pytest.approx(2 * np.mean(error * x[mine]), rel=1e-12, abs=0)
        assert b.grad[i].item() == pytest.approx(2 * error.mean(), rel=1e-12, abs=0)
    assert (w.grad[1].item(), b.grad[1].item()) == (0, 0)


def test_autograd_through_the_readings_gives_the_same_gradient() -> None:
    x, y = fine_thermometer(200)
    (w, b), (v, c) = lines(1), lines(1)
    of(x, y).mse(w, b).sum().backward()  # type: ignore[no-untyped-call]
    Batch(torch.from_numpy(x)[:, None], torch.from_numpy(y)).mse(v[:, None], c).backward()  # type: ignore[no-untyped-call]
    assert w.grad is not None
    assert b.grad is not None
    torch.testing.assert_close((w.grad, b.grad), (v.grad, c.grad), rtol=1e-13, atol=0)


def test_near_the_best_line_the_mse_keeps_its_digits() -> None:
    x, y = fine_thermometer()
    moments, exact = of(x, y), exactly(x, y)
    least = moments.mse(moments.exact[0][..., 0], moments.exact[1]).item()
    assert least == pytest.approx(exact["sse"] / len(x), rel=1e-10, abs=0)
    further = moments.mse(moments.exact[0][..., 0], moments.exact[1] + 1e-4).item()
    assert further - least == pytest.approx(1e-8, rel=1e-6, abs=0)


def test_normalized_moments_are_those_of_normalized_readings() -> None:
    x, y, instrument = three_instruments()
    index = torch.from_numpy(instrument)
    raw, direct = Moments(3), Moments(3)
    offset, scale = torch.tensor([10.0, 0.0, 900.0]).double(), torch.tensor([0.1, 1.0, 1e-3]).double()
    raw.update(torch.from_numpy(x), torch.from_numpy(y), index)
    direct.update((torch.from_numpy(x) - offset[index]) * scale[index], torch.from_numpy(y), index)
    found = raw.normalized(offset, scale)
    torch.testing.assert_close(found.moments, direct.moments, rtol=1e-11, atol=1e-15)
    torch.testing.assert_close(found.features(found.highest)[[0, 2], 0], direct.highest[[0, 2]], rtol=1e-14, atol=0)
    assert raw.feature_means[..., 0][0] != found.feature_means[..., 0][0]


def test_weighted_shares_add_up_to_the_whole_batch() -> None:
    x, y = (torch.from_numpy(column) for column in fine_thermometer(10))
    w, b = lines(1, requires_grad=False)
    whole = Batch(x[:, None], y).mse(w[:, None], b).item()
    shares = [
        Batch(x[cut, None], y[cut], weight=2 / 10).mse(w[:, None], b).item() for cut in (slice(0, 3), slice(3, 10))
    ]
    assert sum(shares) / 2 == pytest.approx(whole, rel=1e-14, abs=0)  # a mean over processes, as DDP takes it
    of_both = Batch(x[:, None], y, instrument=torch.arange(10) % 2).mse(w.repeat(2)[:, None], b.repeat(2)).item()
    assert of_both == pytest.approx(whole, rel=1e-14, abs=0)


@pytest.mark.parametrize("mean", [0.0, 1.0, 50.0, 1e6])
def test_eigenvalues_are_the_hessians(mean: float) -> None:
    random = np.random.default_rng(9)
    x = mean + random.standard_normal(100)
    moments = of(x, x)
    largest, smallest = moments.modes()[0][0].tolist()
    sin, cos = moments.modes()[1][0, :, 0].tolist()  # of b and of w
    with mpmath.workdps(50):
        exact = [mpmath.mpf(v) for v in x.tolist()]
        m1, m2 = mpmath.fsum(exact) / 100, mpmath.fdot(exact, exact) / 100
        values, vectors = mpmath.eigsy(2 * mpmath.matrix([[m2, m1], [m1, 1]]))
    assert largest == pytest.approx(float(values[1]), rel=1e-14, abs=0)
    assert smallest == pytest.approx(float(values[0]), rel=1e-9 if mean == 1e6 else 1e-12, abs=0)
    assert abs(cos * float(vectors[0, 1]) + sin * float(vectors[1, 1])) == pytest.approx(1, rel=1e-14, abs=0)


def test_the_metric_keeps_torchmetrics_contract() -> None:
    x, y = (torch.from_numpy(column) for column in fine_thermometer(30))
    moments = Moments()
    batch = moments(x[:10], y[:10])  # forward: the value of this batch alone, and an update
    moments(x[10:], y[10:])
    np.testing.assert_allclose([v.item() for v in batch[:2]], np.polyfit(x[:10], y[:10], 1), rtol=1e-9)
    w, b, mse = (v.item() for v in moments.compute())
    np.testing.assert_allclose([w, b], np.polyfit(x, y, 1), rtol=1e-9)
    assert mse == pytest.approx(float(np.mean((w * x.numpy() + b - y.numpy()) ** 2)), rel=1e-9, abs=0)
    moments.reset()
    assert moments.count.item() == 0


def test_synced_is_the_same_in_one_process_and_no_alias() -> None:
    moments = of(*fine_thermometer(30))
    other = moments.synced()
    assert torch.equal(other.moments, moments.moments)
    other.update(torch.ones(1), torch.ones(1))
    assert moments.count.item() == 30


def test_float32_readings_are_summed_in_float64() -> None:
    moments = Moments()
    moments.update(torch.full((10,), 0.1), torch.arange(10))
    assert moments.moments.dtype == torch.float64
    assert moments.mean_reference.item() == 4.5


@pytest.mark.parametrize(
    ("shapes", "message"),
    [(((3,), (2,)), r"one shape \(N,\), but got \(3,\) and \(2,\)"), (((2, 2), (2, 2)), r"got \(2, 2\)")],
)
def test_shapes_that_differ_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Moments().update(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_several_instruments_need_their_index() -> None:
    with pytest.raises(ValueError, match="Expected `instrument` for the readings of 2 instruments, but got None"):
        Moments(2).update(torch.zeros(3), torch.zeros(3))


@pytest.mark.gpu
def test_a_card_gives_the_same_digits() -> None:
    x, y = fine_thermometer(200_000)
    moments = Moments().to("cuda")
    moments.update(torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda())
    torch.testing.assert_close(moments.moments.cpu(), of(x, y).moments, rtol=1e-10, atol=0)


def test_what_was_computed_of_other_numbers_is_computed_again() -> None:
    moments = of(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.5]))
    before, modes = moments.exact, moments.modes()
    assert moments.exact is before  # once
    moments.update(torch.tensor([4.0]), torch.tensor([5.0]))
    slope, intercept = np.polyfit([1, 2, 3, 4], [2, 4, 6.5, 5], 1)
    assert moments.exact[0].item() == pytest.approx(slope, rel=1e-13, abs=0)
    assert moments.exact[1].item() == pytest.approx(intercept, rel=1e-12, abs=0)
    assert moments.modes()[0][0, 0] > modes[0][0, 0]
    moments.reset()
    assert not moments.has_curve
