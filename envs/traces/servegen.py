"""ServeGen's clients: for each and every ten minutes a rate and a fitted distribution of gaps."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import TraceError
from .calls import FORMATS, Floats, bad_line, lines_below

HEADER = "category,model,client,t,rate,cv,pat,a1,a2"
EXAMPLE = "multimodal,mm-image,0,600,0.935,0.76,Weibull,1.33,1.168"
NUMBER = r"\d{1,9}(?:\.\d{1,20})?(?:e-?\d{1,3})?"
ROW = re.compile(
    rf"([\w -]{{1,40}}),([\w. -]{{1,80}}),(\d{{1,6}}),({NUMBER}),({NUMBER}),{NUMBER},"
    rf"(Gamma|Weibull)?,({NUMBER}),{NUMBER}"
)
WINDOW_S = 600.0
FASTEST = 1e6  # rate of one client [1/s]
# A Weibull of shape 0.1 has a CV of 430; the mean of smaller ones is beyond what a window samples.
SHAPES = {"Gamma": (0.001, 1e6), "Weibull": (0.1, 1e3)}


@dataclass(frozen=True, eq=False)
class ClientRates:
    """Clients' windows of `WINDOW_S` in which they send calls, sorted by start.

    Attributes:
        client: Number of the client, shape (windows,).
        start_s: Start of the window on the clock, shape (windows,) [s].
        rate: Mean calls per second in the window, shape (windows,) [1/s].
        is_gamma: Whether gaps are Gamma and not Weibull, shape (windows,).
        shape: Shape of the gaps' distribution, shape (windows,); their mean is 1/rate.
    """

    client: NDArray[np.int64]
    start_s: Floats
    rate: Floats
    is_gamma: NDArray[np.bool_]
    shape: Floats

    def mean_rate(self, start_s: float, end_s: float) -> float:
        """Mean calls per second of all clients between two times of the clock [1/s]."""
        inside = np.clip(end_s, self.start_s, self.start_s + WINDOW_S) - np.clip(
            start_s, self.start_s, self.start_s + WINDOW_S
        )
        return float(np.sum(inside * self.rate) / (end_s - start_s))


@FORMATS("servegen")
@dataclass(frozen=True)
class ServeGen:
    """The table's columns are `HEADER`: one row a client and window, all models in one file.

    Of a window's fitted distribution the shape counts; its scale is set by the measured rate, from
    which the fit's own mean departs where a client was silent for a part of the window.

    Attributes:
        model: The model whose clients to read.
    """

    model: str

    def __post_init__(self) -> None:
        checks.text("model", self.model)

    def read(self, data: bytes, source: str) -> ClientRates:
        """Read a whole file."""
        lines = lines_below(HEADER, data, source)
        rows = [row for number, line in lines if (row := self._row(line, number, source))]
        if not rows:
            raise TraceError(
                f"{source} must hold windows of model {self.model!r} with a rate, got none; name "
                "another model"
            )
        rows.sort(key=lambda row: (row[1], row[0]))
        client, start_s, rate, is_gamma, shape = zip(*rows, strict=True)
        return ClientRates(
            np.array(client),
            np.array(start_s),
            np.array(rate),
            np.array(is_gamma),
            np.array(shape),
        )

    def _row(
        self, line: str, number: int, source: str
    ) -> tuple[int, float, float, bool, float] | None:
        match = ROW.fullmatch(line)
        if match is None:
            raise bad_line(source, number, f"must look like {EXAMPLE}", line)
        _, model, client, start_s, rate, family, shape = match.groups()
        if model != self.model or float(rate) == 0:
            return None
        if family is None:
            raise bad_line(source, number, "a rate must have a Gamma or Weibull of gaps", line)
        low, high = SHAPES[family]
        if not (low <= float(shape) <= high and float(rate) <= FASTEST):
            rule = f"the shape must lie in [{low:g}, {high:g}] and the rate below {FASTEST:g}"
            raise bad_line(source, number, rule, line)
        return int(client), float(start_s), float(rate), family == "Gamma", float(shape)
