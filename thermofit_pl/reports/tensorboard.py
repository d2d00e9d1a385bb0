"""What TensorBoard shows beside plain numbers: rows of its tables, text, pictures, and what each curve means."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING

from tensorboard.compat.proto.summary_pb2 import DataClass, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

from thermofit_pl.functional.units import Units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch.utils.tensorboard import SummaryWriter

UNITS = Units()
Value = float | str | None


def curves(units: Units) -> dict[str, str]:
    """Returns what each curve means, by tag."""
    unit = units.reference
    return {
        "train/loss": f"Mean squared error ({units.squared}) before the step: of all readings, or of the step's "
        "mini-batch.",
        "line/w": f"SGD's slope after the step, {units.slope_in_words}.",
        "line/b": f"SGD's intercept after the step, {unit}.",
        "line/distance": "How far SGD's line is from the least-squares line, at most, over the calibrated range, "
        f"{unit}.",
        "val/rmse": f"Root mean square of the errors of SGD's line, {unit}.",
        "val/mean_error": f"Mean of estimate − reference under SGD's line, {unit}.",
        "val/largest_error": f"The largest error, estimate − reference, {unit}.",
        "val/r2": "Share of the references' variance that SGD's line explains.",
        "test/rmse": f"Root mean square of the errors, {unit}.",
        "test/mean_error": f"Mean of estimate − reference, {unit}.",
        "test/largest_error": f"The largest error, estimate − reference, {unit}.",
        "test/r2": "Share of the references' variance that the line explains.",
    }


def layout(units: Units, names: Sequence[str] = ("b", "w")) -> dict[str, dict[str, list[str | list[str]]]]:
    """Returns the charts of TensorBoard's custom scalars.

    Args:
        units: Of the run.
        names: Of the curve's coefficients; those of a line by default.
    """
    unit, what = units.reference, "line" if set(names) == {"w", "b"} else "curve"
    said = (
        {"w": f"w ({units.slope_in_words})", "b": f"b ({unit})"} if what == "line" else {name: name for name in names}
    )
    return {
        "fit": {
            f"loss ({units.squared})": ["Multiline", ["train/loss"]],
            f"distance to the least-squares {what} ({unit})": ["Multiline", ["line/distance"]],
            **{title: ["Multiline", [f"line/{name}"]] for name, title in said.items()},
        },
        "errors": {f"rmse ({unit})": ["Multiline", ["val/rmse", "test/rmse"]]},
    }


def results(units: Units) -> dict[str, str]:
    """Returns the results of a run's row by tag, with their names; TensorBoard shows the first five as they stand."""
    unit = units.reference
    return {
        "verdict/loss": f"final loss ({units.squared})",
        "verdict/rmse": f"rmse ({unit})",
        "verdict/w": f"w ({units.slope})",
        "verdict/b": f"b ({unit})",
        "verdict/steps_needed": "steps still needed",
        "verdict/u_w": f"u_w ({units.slope})",
        "verdict/u_b": f"u_b ({unit})",
    }


# TensorBoard takes a table's columns from whichever run it meets first, so all runs must name the same, of the same
# types; it sorts these by name and shows the first five.
SETTINGS: dict[str, type[float] | type[str]] = {
    "batch_size": str,
    "data": str,
    "learning_rate": float,
    "normalization": str,
    "steps": float,
    "table_sha256": str,
    "unit": str,
    "update_rule": str,
}


class Board:
    """Writes to an event file whole events, several values each: a quarter of the bytes and time of one by one.

    Args:
        writer: TensorBoard's.
        units: Of the run.
    """

    def __init__(self, writer: SummaryWriter, units: Units = UNITS) -> None:
        self._writer = writer
        self._units = units
        self._meanings = curves(units) | results(units)
        self._explained: set[str] = set()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes numbers of one step; the first of each tag with what it means."""
        summary = Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=value, metadata=self._explain(tag))
        self._add(summary, step)

    def _explain(self, tag: str) -> SummaryMetadata | None:
        if tag in self._explained:
            return None
        self._explained.add(tag)
        meaning = self._meanings.get(tag, "")
        plugin = SummaryMetadata.PluginData(plugin_name="scalars")
        # TensorBoard drops the description of a plain value that doesn't name its class
        return SummaryMetadata(
            summary_description=meaning, plugin_data=plugin, data_class=DataClass.Value("DATA_CLASS_SCALAR")
        )

    def picture(self, tag: str, png: bytes, size: tuple[int, int], step: int) -> None:
        """Writes a PNG as it is.

        Args:
            tag: Its name.
            png: The file's bytes, RGBA.
            size: Width and height in pixels.
            step: Its step.
        """
        image = Summary.Image(encoded_image_string=png, width=size[0], height=size[1], colorspace=4)
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Writes a text; torch's own way would add a suffix to its name."""
        plugin = SummaryMetadata.PluginData(plugin_name="text", content=TextPluginData(version=0).SerializeToString())
        tensor = TensorProto(
            dtype="DT_STRING",
            string_val=[markdown.encode("utf-8", "replace")],
            tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
        )
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)
        self._add(Summary(value=[value]), step)

    def histogram(self, tag: str, values: NDArray[np.float64], step: int) -> None:
        """Writes how values spread."""
        self._writer.add_histogram(tag, values, step)

    def layout(self, names: Sequence[str] = ("b", "w")) -> None:
        """Writes which curves belong together, for the tab CUSTOM SCALARS.

        Args:
            names: Of the coefficients of the curve that is fitted.
        """
        told = {f"line/{name}": f"Coefficient {name} of SGD's curve after the step." for name in names}
        self._meanings = told | self._meanings
        self._writer.add_custom_scalars(layout(self._units, names))

    def start(self, settings: Mapping[str, Value]) -> None:
        """Writes the run's row in the tab HPARAMS; it is there from now on, whatever becomes of the run.

        Args:
            settings: Those of ``SETTINGS`` that are known.
        """
        kinds = {float: "DATA_TYPE_FLOAT64", str: "DATA_TYPE_STRING"}
        experiment = api_pb2.Experiment(
            hparam_infos=[
                api_pb2.HParamInfo(name=name, type=api_pb2.DataType.Value(kinds[kind]))
                for name, kind in SETTINGS.items()
            ],
            metric_infos=[
                api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=name)
                for tag, name in results(self._units).items()
            ],
        )
        session = SessionStartInfo(start_time_secs=time.time())
        for name, kind in SETTINGS.items():
            value = settings.get(name)
            if isinstance(value, kind):
                setattr(session.hparams[name], "number_value" if kind is float else "string_value", value)
        self._hparams(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))
        self._hparams(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=session))

    def end(self, success: bool) -> None:
        """Writes how the run ended into its row."""
        status = api_pb2.Status.Value("STATUS_SUCCESS" if success else "STATUS_FAILURE")
        session = SessionEndInfo(status=status, end_time_secs=time.time())
        self._hparams(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=session))

    def flush(self) -> None:
        """Gives what was written to the disk, so that TensorBoard sees it."""
        self._writer.flush()

    def _hparams(self, tag: str, data: HParamsPluginData) -> None:
        value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
        self._add(Summary(value=[value]), 0)

    def _add(self, summary: Summary, step: int) -> None:
        # it opens a file that a finished run has closed
        self._writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]


def as_list(text: str) -> str:
    """Turns lines of plain text into a Markdown list that shows every character as it is."""
    lines = (re.sub(r"([\\`*_{}\[\]()#+.!-])", r"\\\1", line) for line in text.splitlines())
    return "\n".join(f"- {html.escape(line, quote=False)}" for line in lines)


def as_code(text: str, language: str = "yaml") -> str:
    """Turns text into a Markdown block of code, whatever it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
