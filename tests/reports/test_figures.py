"""Figures: what they show is checked against statsmodels and NumPy, and that hard readings can be drawn at all."""

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from made import GUM_H3, NOTEBOOK, calibration
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from thermofit_pl import fit
from thermofit_pl.calibration.calibration import Calibration
from thermofit_pl.calibration.records import Outlying
from thermofit_pl.curves.base import Curve
from thermofit_pl.reports import descent as way
from thermofit_pl.reports import figures
from thermofit_pl.reports.drawing import SIZE, new_figure, png


class Root(Curve):
    """b + w √x, which has no value below 0."""

    def features(self, indication: Any) -> list[Any]:
        return [indication**0.5]

    def slopes(self, indication: Any) -> list[Any]:
        return [0.5 * indication**-0.5]


def shown(c: Calibration, x: Any, y: Any) -> figures.Shown:
    return figures.choose(np.asarray(x, float), np.asarray(y, float), c)


def drawn(draw: Callable[..., None], *arguments: Any) -> Axes:
    axes = new_figure().subplots()
    draw(axes, *arguments)
    return axes


def words(axes: Axes) -> str:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    around = [text.get_text() for text in (*figure.texts, *axes.texts)]
    return "\n".join([*legends, *around, axes.get_xlabel(), axes.get_ylabel()])


def band(axes: Axes, name: str) -> tuple[Any, Any, Any]:
    """The lower and upper edge of a filled band, at its abscissae."""
    (filled,) = (part for part in axes.collections if str(part.get_label()).endswith(f"±k·{name}"))
    corners = np.asarray(filled.get_paths()[0].vertices)
    x = np.unique(corners[:, 0])
    lower, upper = (np.array([edge(corners[corners[:, 0] == at, 1]) for at in x]) for edge in (np.min, np.max))
    return x, lower, upper


def descend(x: Any, y: Any, steps: int, rate: float) -> way.Descent:
    """Plain SGD, step by step."""
    w, b, losses, ws, bs = 1.0, 0.0, [], [1.0], [0.0]
    for _ in range(steps):
        error = w * x + b - y
        losses.append(float(np.mean(error**2)))
        w, b = w - rate * 2 * float(np.mean(error * x)), b - rate * 2 * float(np.mean(error))
        ws.append(w)
        bs.append(b)
    slope, intercept = np.polyfit(x, y, 1)
    least = float(np.mean((slope * x + intercept - y) ** 2))
    root = np.array([[x.mean(), 1.0], [x.std(), 0.0]])
    bowl = way.Bowl(("w", "b"), np.array([slope, intercept]), least, root)
    loss = np.array(losses)
    return way.Descent(np.arange(1, steps + 1), loss, np.stack([ws, bs], axis=-1), loss, bowl, "× 0.1")


@pytest.mark.parametrize(("x", "y"), [NOTEBOOK, GUM_H3])
def test_bands_are_those_of_statsmodels(x: list[float], y: list[float]) -> None:
    c = calibration(x, y)
    axes = drawn(figures.draw_readings, c, shown(c, x, y))
    ols = sm.OLS(y, sm.add_constant(x)).fit()
    for name, low, high in (
        ("u_line", "mean_ci_lower", "mean_ci_upper"),
        ("u_single", "obs_ci_lower", "obs_ci_upper"),
    ):
        at, lower, upper = band(axes, name)
        expected = ols.get_prediction(sm.add_constant(at)).summary_frame(alpha=0.05)
        np.testing.assert_allclose(lower, expected[low], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(upper, expected[high], rtol=1e-9, atol=1e-9)
        assert at[0] < min(x)
        assert at[-1] > max(x)


def test_readings_and_errors_are_where_they_belong() -> None:
    x, y = map(np.asarray, NOTEBOOK)
    c = calibration(x, y)
    slope, intercept = np.polyfit(x, y, 1)
    error = slope * x + intercept - y
    expected: list[tuple[Callable[..., None], Any, Any]] = [
        (figures.draw_readings, x, y),
        (figures.draw_errors, x, error),
        (figures.draw_errors_in_order, np.arange(1, 12), error),
    ]
    for draw, abscissa, ordinate in expected:
        axes = drawn(draw, c, shown(c, x, y))
        (dots,) = (part for part in axes.collections if isinstance(part, PathCollection))
        np.testing.assert_allclose(np.asarray(dots.get_offsets()), np.column_stack([abscissa, ordinate]), atol=1e-12)


def test_errors_in_order_have_the_bands_of_their_indications() -> None:
    c = calibration(*NOTEBOOK)
    axes = drawn(figures.draw_errors_in_order, c, shown(c, *NOTEBOOK))
    _, lower, upper = band(axes, "u_single")
    ols = sm.OLS(NOTEBOOK[1], sm.add_constant(NOTEBOOK[0])).fit()
    frame = ols.get_prediction().summary_frame(alpha=0.05)
    half = (frame["obs_ci_upper"] - frame["obs_ci_lower"]) / 2
    np.testing.assert_allclose(upper, half, rtol=1e-9)
    np.testing.assert_allclose(lower, -half, rtol=1e-9)


def test_a_figure_says_what_it_shows_with_units() -> None:
    c = calibration(*NOTEBOOK)
    said = words(drawn(figures.draw_readings, c, shown(c, *NOTEBOOK)))
    for part in (
        "w = 0.537(36) °C/unit, b = −17.3(1.9) °C", "exact degrees Fahrenheit", "least-squares line", "readings (11)",
        "the line: ±k·u_line", "one reading: ±k·u_single", "k = 2.262 covers 95 %", "indication: t_u (indicated unit)",
        "reference: t_c (°C)", "largest error, row 10",
    ):  # fmt: skip
        assert part in said


def test_a_scale_that_is_far_away_is_left_out() -> None:
    x = np.array(NOTEBOOK[0]) * 1000
    c = calibration(x, NOTEBOOK[1])
    assert "exact" not in words(drawn(figures.draw_readings, c, shown(c, x, NOTEBOOK[1])))


def test_the_reading_that_stands_out_is_pointed_at() -> None:
    c = calibration(*NOTEBOOK)
    out = Outlying(t=-23.44, p=1e-9, indication=48.4, reference=6.0, file="a.csv", row=10, count=1, rows=(10,))
    c = dataclasses.replace(c, diagnostics=dataclasses.replace(c.diagnostics, outlying=out))
    axes = drawn(figures.draw_errors, c, shown(c, *NOTEBOOK))
    assert "stands out, t = −23.4, row 10" in words(axes)
    (ring,) = (line for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_allclose(np.asarray(ring.get_xydata()), [[48.4, c.w * 48.4 + c.b - 6.0]])


def test_without_uncertainties_there_are_no_bands() -> None:
    missing: dict[str, Any] = dict.fromkeys(
        ("u_w", "u_b", "cov_wb", "u_pivot", "s", "coverage_factor", "w_interval", "b_interval")
    )
    c = dataclasses.replace(calibration(*NOTEBOOK), **missing)
    for draw in (figures.draw_readings, figures.draw_errors, figures.draw_errors_in_order):
        assert "±" not in words(drawn(draw, c, shown(c, *NOTEBOOK)))


def test_the_bowl_is_the_loss() -> None:
    x, y = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
    bowl = descend(x, y, 1, 1e-2).bowl
    w, b = np.meshgrid(np.linspace(-3, 9, 7), np.linspace(-30, 9, 5))
    expected = np.mean((w[..., None] * x + b[..., None] - y) ** 2, axis=-1)
    np.testing.assert_allclose(bowl.loss(w, b), expected, rtol=1e-12)


def test_the_path_runs_from_the_start_to_the_end_over_the_loss() -> None:
    x, y = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
    path = descend(x, y, 300, 1e-2)
    axes = drawn(way.draw_loss, path)
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}
    np.testing.assert_allclose(lines["the optimiser's path"], path.path)
    np.testing.assert_allclose(lines["start"], [[1.0, 0.0]])
    np.testing.assert_allclose(lines["end"], path.path[-1:])
    np.testing.assert_allclose(lines["least squares"], np.polyfit(x, y, 1)[None])
    for at in lines.values():  # all of it is to be seen
        assert axes.viewLim.containsx(at[0, 0])
        assert axes.viewLim.containsy(at[-1, 1])
    assert "Loss (°C²) over (w, b): steps 1 to 300" in words(axes)


def test_the_learning_curve_shows_the_loss_and_the_prediction() -> None:
    x, y = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
    path = descend(x, y, 500, 1e-2)
    axes = drawn(way.draw_learning_curve, path)
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}
    np.testing.assert_allclose(lines["loss before the step"], np.column_stack([path.steps, path.loss]))
    assert path.predicted is not None
    np.testing.assert_allclose(lines["as the Hessian predicts"], np.column_stack([path.steps, path.predicted]))
    assert path.loss[499] == pytest.approx(7.860124, abs=5e-7)
    assert "Learning curve: 7.86012 °C² at step 500" in words(axes)
    assert "least squares: 2.928 °C²" in words(axes)
    other = drawn(way.draw_learning_curve, dataclasses.replace(path, predicted=None))
    assert "Hessian" not in words(other)


def test_many_readings_are_thinned_but_not_the_worst() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 100, 20_000)
    y = x + random.normal(size=20_000)
    y[[3, 19_000]] += 50
    c = dataclasses.replace(calibration(x, y), n=10_000_000)
    few = shown(c, x, y)
    assert figures.DRAWN - figures.FARTHEST <= len(few.indication) <= figures.DRAWN
    assert {x[3], x[19_000]} <= set(few.indication)
    np.testing.assert_array_equal(few.position, np.sort(few.position))
    assert few.position[0] >= 1
    assert few.position[-1] <= 10_000_000
    assert "of 10 000 000" in words(drawn(figures.draw_readings, c, few))


HARD = {
    "huge": (np.linspace(1e140, 2e140, 12), np.linspace(0, 50, 12) ** 1.01),
    "tiny": (np.linspace(1e-140, 2e-140, 12), np.linspace(0, 50, 12) ** 1.01),
    "far from zero": (1e9 + np.linspace(0, 1e-3, 12), np.linspace(0, 50, 12) ** 1.01),
    "descending": (-np.array(NOTEBOOK[0]), np.array(NOTEBOOK[1])),
    "a constant reference": (np.arange(5.0), np.full(5, 20.0)),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_readings_can_be_drawn(name: str) -> None:
    x, y = HARD[name]
    c = dataclasses.replace(fit(x, y), indication_column="$\\frac{1}{0}$ 温度 <b>")
    drawings = dict(figures.pictures(c, shown(c, x, y)))
    assert len(drawings) == 3
    for draw in drawings.values():
        picture = draw()
        assert picture.startswith(b"\x89PNG")
        assert struct.unpack(">II", picture[16:24]) == SIZE
        assert len(picture) < 300_000


def test_an_optimiser_that_started_at_the_end_can_be_drawn() -> None:
    bowl = way.Bowl(("w", "b"), np.array([2.0, 0.0]), 0.0, np.array([[0.0, 1.0], [1.0, 0.0]]))
    still = way.Descent(np.array([1]), np.zeros(1), np.array([[2.0, 0.0]] * 2), np.zeros(1), bowl, "none")
    assert png(lambda axes: way.draw_loss(axes, still)).startswith(b"\x89PNG")
    assert png(lambda axes: way.draw_learning_curve(axes, still)).startswith(b"\x89PNG")


def test_a_figure_leaves_the_users_style_alone() -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 3, "text.usetex": True}):  # the second would need LaTeX
        c = calibration(*NOTEBOOK)
        name, draw = next(iter(figures.pictures(c, shown(c, *NOTEBOOK))))
        assert name == "readings"
        assert draw().startswith(b"\x89PNG")
        assert mpl.rcParams["font.size"] == 3


def test_the_plane_is_that_of_the_coefficients_that_are_told_least() -> None:
    random = np.random.default_rng(4)
    design = np.stack([np.ones(200), random.normal(size=200), 0.01 * random.normal(size=200), random.normal(size=200)])
    root = np.linalg.qr(design.T, mode="r") / np.sqrt(200)
    variance = np.diag(np.linalg.inv(design @ design.T / 200))
    assert way.worst_determined(root, [0, 1, 2, 3]) == sorted(np.argsort(variance)[-2:], reverse=True)
    assert way.worst_determined(root, [0, 1]) == [1, 0]
    assert way.worst_determined(root, [2]) == [2]
    assert way.worst_determined(np.eye(4), [0, 1, 2, 3]) == [3, 2]  # whitened


def test_a_curve_is_drawn_over_its_range_alone() -> None:
    x = np.geomspace(1.0, 1000.0, 30)
    c = fit(x, 20 - 4 * np.sqrt(x) + np.random.default_rng(0).normal(0, 0.1, 30), curve=Root())
    axes = drawn(figures.draw_readings, c, shown(c, x, 20 - 4 * np.sqrt(x)))
    (line,) = (line for line in axes.lines if line.get_label() == "least-squares curve")
    np.testing.assert_allclose(np.asarray(line.get_xdata())[[0, -1]], [1.0, 1000.0])
    assert np.isfinite(np.asarray(line.get_ydata())).all()
    assert "the curve: ±k·u_line" in words(axes)


@pytest.mark.parametrize("held", [None, 1.0])
def test_the_loss_of_a_curve_is_drawn_in_a_plane_or_over_one_coefficient(held: float | None) -> None:
    x, y = np.array(NOTEBOOK[0]) * 0.1, np.array(NOTEBOOK[1])
    design = np.stack([np.ones(11), x, x * x])
    root = np.linalg.qr(design.T, mode="r") / np.sqrt(11)
    exact, (sse,), *_ = np.linalg.lstsq(design.T, y, rcond=None)
    shown = [2, 1] if held is None else [0]
    names = tuple(("b", "w1", "w2")[j] for j in shown)
    bowl = way.Bowl(names, exact[shown], float(sse / 11), root[:, shown])
    away = np.array([0.3, -0.2])[: len(shown)]
    moved = exact.copy()
    moved[shown] += away
    expected = np.mean((moved @ design - y) ** 2)
    assert bowl.loss(*(exact[shown] + away)) == pytest.approx(expected, rel=1e-12)
    path = np.linspace(exact[shown] + away, exact[shown], 5)
    descent = way.Descent(np.arange(1, 5), np.ones(4), path, None, bowl, "standard", others=True, of_line=False)
    axes = drawn(way.draw_loss, descent)
    lines = {str(line.get_label()): np.asarray(line.get_xydata()) for line in axes.lines}
    along = path if held is None else np.column_stack([path[:, 0], bowl.loss(path[:, 0])])
    np.testing.assert_allclose(lines["the optimiser's path"], along)
    assert f"over {'(w2, w1)' if held is None else 'b'}: steps 1 to 4" in words(axes)
    assert "the other coefficients: those of least squares" in words(axes)
