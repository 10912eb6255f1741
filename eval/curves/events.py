"""Event files in TensorBoard's format, written by its own pure Python: no torch, no TensorFlow."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from ...envs.errors import ConfigError
from ..interrupt import hold_ctrl_c
from .layout import Layout


def check_installed() -> None:
    """Refuse to go on without TensorBoard.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "event files need TensorBoard, which is not installed: pip install tensorboard, "
            "or with all of training, pip install 'slicegym[train]'"
        )


class EventFile:
    """The event file of one run.

    Args:
        folder: The run's, named as TensorBoard shall call it.
        time_s: Written as the time of all events [s since 1970].
    """

    def __init__(self, folder: Path, time_s: float) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))
        self._time_s = time_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with hold_ctrl_c():
            self._writer.close()

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve; one without a number is left out."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        known = {name: value for name, value in values.items() if not math.isnan(value)}
        points = [Summary.Value(tag=name, simple_value=value) for name, value in known.items()]
        self.add(Summary(value=points), step)

    def image(self, name: str, png: bytes, size: tuple[int, int], step: int) -> None:
        """Add a PNG of so many pixels, width and height."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = size
        picture = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        self.add(Summary(value=[Summary.Value(tag=name, image=picture)]), step)

    def layout(self, layout: Layout) -> None:
        """Add a page of chosen charts."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.custom_scalar import metadata

        tensor = TensorProto(dtype=DT_STRING, string_val=[layout_message(layout)])
        tensor.tensor_shape.SetInParent()  # a scalar, not a tensor of unknown shape
        value = Summary.Value(
            tag=metadata.CONFIG_SUMMARY_TAG,
            metadata=metadata.create_summary_metadata(),
            tensor=tensor,
        )
        self.add(Summary(value=[value]), step=0)

    def add(self, summary: Any, step: int) -> None:
        """Add any summary of TensorBoard's."""
        from tensorboard.compat.proto.event_pb2 import Event

        with hold_ctrl_c():
            self._writer.add_event(Event(wall_time=self._time_s, step=step, summary=summary))


def layout_message(layout: Layout) -> bytes:
    """Return a layout as the custom scalars plugin reads it."""
    from tensorboard.plugins.custom_scalar import layout_pb2 as pb

    categories = [
        pb.Category(
            title=category,
            chart=[
                pb.Chart(title=title, multiline=pb.MultilineChartContent(tag=expressions))
                for title, expressions in charts.items()
            ],
        )
        for category, charts in layout.items()
    ]
    message: bytes = pb.Layout(category=categories).SerializeToString()
    return message
