"""What an allocator sees, in physical units, and the flat scaled form that Gymnasium sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import unknown_name
from .kernel.layout import AWAITING_MEMORY, LOADING, WARM
from .kernel.observe import EXTRA_COLUMNS, N_SQUASHED, RAW_COLUMNS

if TYPE_CHECKING:
    from .spec import Scenario

Floats = NDArray[np.float64]

SHORT_WINDOW_S = 10.0
LONG_WINDOW_S = 60.0

CONSTANT_COLUMNS = ("weight", "min_share", "footprint", "service_time", "cold_start", "keep_alive")
FEATURES = (*RAW_COLUMNS, *CONSTANT_COLUMNS)
N_FEATURES = len(FEATURES)  # those of a plain scenario; `n_features` counts any scenario's
# Changes whenever the meaning of a flat observation changes; policies name it.
SCHEMA = "slicegym-observation-1"


def raw_columns(scenario: Scenario) -> tuple[str, ...]:
    """Return the columns of a scenario's raw observation, those that it alone has at the end."""
    return (*RAW_COLUMNS, *(name for name in EXTRA_COLUMNS if name in scenario.observed))


def n_features(scenario: Scenario) -> int:
    """Return the features of one agent in a scenario's flat observation."""
    return len(raw_columns(scenario)) + len(CONSTANT_COLUMNS)


def feature_places(scenario: Scenario, names: Sequence[str]) -> list[int]:
    """Return where features of these names stand among those of one agent.

    Raises:
        ConfigError: The scenario has none of a name.
    """
    known = [*raw_columns(scenario), *CONSTANT_COLUMNS]
    for name in names:
        if name not in known:
            raise unknown_name("feature", name, known)
    return [known.index(name) for name in names]


_COLUMN = {name: place for place, name in enumerate(RAW_COLUMNS)}


@dataclass(frozen=True, eq=False)
class Observation:
    """All that a platform can measure at a decision; nothing of the future.

    Every array over agents has the shape (N,), or (B, N) for a batch of environments.

    Attributes:
        scenario: The constants.
        decision: Index k of the decision, shape () or (B,).
        raw: The measurements, shape (..., N, columns), columns as in `raw_columns`.
    """

    scenario: Scenario
    decision: NDArray[np.int64]
    raw: Floats

    @property
    def time_s(self) -> Floats:
        """Time of the decision, shape () or (B,) [s]."""
        return np.minimum(
            self.decision * np.float64(self.scenario.interval_s), self.scenario.horizon_s
        )

    @property
    def queue(self) -> Floats:
        """Calls that wait."""
        return self._column("queue")

    @property
    def in_service(self) -> Floats:
        """Calls in service, frozen ones included."""
        return self._column("in_service")

    @property
    def oldest_wait_s(self) -> Floats:
        """How long the first waiting call has waited [s]; 0 where none waits."""
        return self._column("oldest_wait_s")

    @property
    def arrivals(self) -> Floats:
        """Calls released in the last interval."""
        return self._column("arrivals")

    @property
    def arrival_rate(self) -> Floats:
        """λ: calls released in the last interval per second [1/s]."""
        return self.arrivals / self.scenario.interval_s

    @property
    def rate_short(self) -> Floats:
        """Arrival rate over an exponential window of 10 s [1/s]."""
        return self._column("rate_short")

    @property
    def rate_long(self) -> Floats:
        """Arrival rate over an exponential window of 60 s [1/s]."""
        return self._column("rate_long")

    @property
    def completions(self) -> Floats:
        """Calls completed in the last interval."""
        return self._column("completions")

    @property
    def rejected(self) -> Floats:
        """Calls rejected in the last interval."""
        return self._column("rejected")

    @property
    def share(self) -> Floats:
        """Shares in force, after feasibility [GPU]."""
        return self._column("share")

    @property
    def warm(self) -> Floats:
        """1 where the model is in memory and ready, else 0."""
        return self._column("warm")

    @property
    def loading(self) -> Floats:
        """1 where the model is being loaded, else 0."""
        return self._column("loading")

    @cached_property
    def status(self) -> NDArray[np.int64]:
        """Lifecycle: 0 cold, 1 awaiting memory, 2 loading, 3 warm."""
        status = (
            AWAITING_MEMORY * self._column("awaiting_memory")
            + LOADING * self._column("loading")
            + WARM * self._column("warm")
        )
        return status.astype(np.int64)

    @property
    def ready_in_s(self) -> Floats:
        """Time until the model could serve [s]: 0 warm, the rest of a load, or a cold start."""
        return self._column("ready_in_s")

    @property
    def keep_alive_left_s(self) -> Floats:
        """Time that the model stays in memory without a share [s]; 0 where it is not there."""
        return self._column("keep_alive_left_s")

    @property
    def pause_left_s(self) -> Floats:
        """Rest of the pause after the last change of share [s]."""
        return self._column("pause_left_s")

    @property
    def idle_s(self) -> Floats:
        """Time since the agent last had a call [s]; 0 while it has one."""
        return self._column("idle_s")

    @property
    def upstream(self) -> Floats:
        """Calls expected from tasks in progress: in think time, and by routing probabilities."""
        return self._column("upstream")

    @property
    def available(self) -> Floats:
        """GPUs that are ready and not lost, of the pool or of the agent's node [GPU]."""
        return self._extra("available", self.scenario.gpus)

    @property
    def ordered(self) -> Floats:
        """GPUs of an elastic pool that are on order [GPU]."""
        return self._extra("ordered", 0.0)

    @property
    def health(self) -> Floats:
        """Factor on the agent's rate; 0 where it is stuck."""
        return self._extra("health", 1.0)

    @property
    def node(self) -> Floats:
        """Node that the agent is on."""
        return self._extra("node", 0.0)

    def _column(self, name: str) -> Floats:
        return self.raw[..., _COLUMN[name]]

    def _extra(self, name: str, constant: float) -> Floats:
        """Return a column that only some scenarios have, and its constant in the others."""
        columns = raw_columns(self.scenario)
        if name in columns:
            return self.raw[..., columns.index(name)]
        return np.full(self.raw.shape[:-1], constant)


@dataclass(frozen=True, eq=False)
class Encoding:
    """The scenario's constants that scale a raw observation into a flat one.

    A column without a bound is multiplied by its scale and squashed, x/(1 + x); the others end in
    [0, 1] by their scale alone. `SliceEnv` documents each column.

    Attributes:
        scale: (N, columns) float64, columns as in `raw_columns`.
        constants: (N, len(CONSTANT_COLUMNS)) float32.
        unit: What work and shares are measured by [GPU].
    """

    scale: Floats
    constants: NDArray[np.float32]
    unit: float

    @classmethod
    def of(cls, scenario: Scenario, unit: float | None = None) -> Encoding:
        """Derive the scales of a scenario.

        Args:
            scenario: The constants.
            unit: What work and shares are measured by [GPU]; by default the pool, and only then do
                all features lie in [0, 1].
        """
        unit = scenario.gpus if unit is None else unit
        per_interval = 1.0 / (scenario.throughput * unit * scenario.interval_s)
        per_second = 1.0 / (scenario.throughput * unit)
        latency = np.full(scenario.n_agents, 1.0 / scenario.reference_latency_s)
        one = np.ones(scenario.n_agents)
        scales = {
            "queue": per_interval,
            "oldest_wait_s": latency,
            "arrivals": per_interval,
            "rate_short": per_second,
            "rate_long": per_second,
            "completions": per_interval,
            "rejected": per_interval,
            "ready_in_s": latency,
            "idle_s": latency,
            "upstream": per_interval,
            "in_service": 1.0 / scenario.concurrency,
            "share": one / unit,
            "awaiting_memory": one,
            "loading": one,
            "warm": one,
            "keep_alive_left_s": _inverse(scenario.keep_alive_s),
            "pause_left_s": one * _inverse(np.array(scenario.reconfigure_s)),
            "available": one / scenario.gpus,
            "ordered": one / scenario.gpus,
            "health": one,
            "node": one / max(1, scenario.n_nodes - 1),
        }
        columns = [
            scenario.weight / scenario.weight.max(),
            _squash(scenario.min_share / unit),
            _squash(scenario.footprint / unit),
            _squash(scenario.concurrency * per_second * latency),
            _squash(scenario.cold_start_s * latency),
            _squash(scenario.keep_alive_s * latency),
        ]
        scale = np.stack([scales[name] for name in raw_columns(scenario)], axis=1)
        return cls(np.ascontiguousarray(scale), np.stack(columns, axis=1).astype(np.float32), unit)

    def flat(self, observation: Observation) -> NDArray[np.float32]:
        """Encode an observation, shape (..., N · features) float32; the kernel's twin."""
        x = observation.raw * self.scale
        x[..., :N_SQUASHED] /= 1.0 + x[..., :N_SQUASHED]
        constants = np.broadcast_to(self.constants, (*x.shape[:-1], self.constants.shape[1]))
        features = np.concatenate([x.astype(np.float32), constants], axis=-1)
        return features.reshape(*x.shape[:-2], -1)


def _inverse(values: Floats) -> Floats:
    """1/x, and 0 where x is 0: such a column never moves."""
    return np.divide(1.0, values, out=np.zeros_like(values, dtype=np.float64), where=values > 0)


def _squash(values: Any) -> Floats:
    return np.asarray(values / (1.0 + values), dtype=np.float64)
