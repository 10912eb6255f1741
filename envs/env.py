"""The Gymnasium environment: wiring between the simulator and an agent that learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from .actions import Actions
from .episodes import EpisodeSource, as_scenario, observation_space
from .errors import ConfigError
from .observation import Observation
from .render import Renderer
from .simulator import Simulator
from .spec import Scenario


class SliceEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Share a pool of serverless GPU capacity among LLM agents, one decision every interval.

    ## Description

    Tasks of users arrive as calls to N agents (coordinator, NLP, vision, reasoning …). Each agent
    is an elastic deployment that must be loaded before it serves, costs money while it is in GPU
    memory, and serves its calls in the order in which they came. Every interval
    the agent that learns requests a share of the pool for each of them. Between decisions every
    call is simulated exactly, in continuous time (docs/model.md).

    ## Action space

    `Box(0, 1, (N,), float32)`: the requested fraction of the pool per agent, g = a·G [GPU].
    Feasible shares are what comes of it: under the share quantum they count as zero, and if they
    sum to more than the pool all are scaled to it. An elastic pool has one more entry, its size,
    and a pool of several nodes N more, the agents' nodes (docs/platform.md); shares alone do too.

    With `actions="slices"`, for a pool with a `partition`: `Discrete(V)`, the row of
    `scenario.partitions.vectors` to cut. `action_masks()` says which of them can be cut; not all
    can while a slice is lost.

    ## Observation space

    `Box(0, 1, (N·23,), float32)`, agent by agent, with further columns where docs/platform.md says
    so. With capacity T·G [calls/s] (the agent's
    throughput on the whole pool), interval Δ, L_ref the reference latency, s(x) = x / (1 + x):

    | # | feature | meaning | scaled as |
    |---|---|---|---|
    | 0 | queue | calls that wait | s(· / (T·G·Δ)) |
    | 1 | oldest_wait_s | how long the first of them has waited [s] | s(· / L_ref) |
    | 2 | arrivals | calls released in the last interval | s(· / (T·G·Δ)) |
    | 3 | rate_short | arrival rate, exponential window of 10 s [1/s] | s(· / (T·G)) |
    | 4 | rate_long | arrival rate, exponential window of 60 s [1/s] | s(· / (T·G)) |
    | 5 | completions | calls completed in the last interval | s(· / (T·G·Δ)) |
    | 6 | rejected | calls rejected in the last interval | s(· / (T·G·Δ)) |
    | 7 | ready_in_s | 0 warm, else the rest of a load or a cold start [s] | s(· / L_ref) |
    | 8 | idle_s | time since it last had a call [s] | s(· / L_ref) |
    | 9 | upstream | calls expected from tasks in progress | s(· / (T·G·Δ)) |
    | 10 | in_service | calls in service, frozen ones included | · / c |
    | 11 | share | share in force [GPU] | · / G |
    | 12 | awaiting_memory | 1 while a load waits for memory | · |
    | 13 | loading | 1 while the model is loaded | · |
    | 14 | warm | 1 while it is in memory and ready | · |
    | 15 | keep_alive_left_s | time it would stay in memory without a share [s] | · / keep_alive_s |
    | 16 | pause_left_s | rest of the pause after a change of share [s] | · / reconfigure_s |
    | 17 | weight | constant: ω = 1/P | · / max ω |
    | 18 | min_share | constant: R [GPU] | s(· / G) |
    | 19 | footprint | constant: least bill while in memory [GPU] | s(· / G) |
    | 20 | service_time | constant: c / (T·G), a call's time at a full pool [s] | s(· / L_ref) |
    | 21 | cold_start | constant [s] | s(· / L_ref) |
    | 22 | keep_alive | constant [s] | s(· / L_ref) |

    Where a scenario has them, `available` and `ordered` (· / G), `health` (·) and `node`
    (· / (M − 1)) stand between columns 16 and 17.

    It is a pure function (`Encoding.flat`) of the `Observation` in physical units that allocators
    get (`env.unwrapped.observation()`), and holds nothing of the future.

    ## Reward

    r = −(w_L·latency + w_C·cost + w_U·idle) of the interval: weighted mean tasks in system over
    λ_ref·L_ref (mean latency in units of L_ref, by Little's law), fraction of the pool paid for,
    and fraction paid for without being used. `info` holds the three terms, unweighted.

    ## Starting state

    Time 0, every agent cold with share 0, the calls released at time 0 queued. The tape of the
    episode is drawn from the scenario's workload on `split`; `reset(options={"episode": e})` plays
    a given episode and `reset(options={"tape": t})` a given tape.

    ## Episode end

    Never terminated. Truncated at the scenario's horizon.

    ## Arguments

    - `scenario`: a `Scenario`, the name of a shipped one, or the path of a YAML file.
    - `split`: `"train"`, `"validation"` or `"heldout"`.
    - `render_mode`: `"rgb_array"`, `"ansi"` or `None`.
    - `horizon_charge`: whether the last interval pays for the work left open, as every evaluation
      does. Training leaves it out and bootstraps, since the horizon is a truncation.
    - `actions`: `"shares"` or `"slices"`.

    ## References

    Zhang, Guo, Tan: Adaptive GPU Resource Allocation for Multi-Agent Collaborative Reasoning in
    Serverless Environments, arXiv 2512.22149.

    ## Version history

    - v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class declares it so
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 4,
    }

    def __init__(
        self,
        scenario: Scenario | str | Path = "paper",
        split: str = "train",
        render_mode: str | None = None,
        *,
        horizon_charge: bool = True,
        actions: str = "shares",
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ConfigError(
                f"render_mode must be None, 'rgb_array' or 'ansi', got {render_mode!r}"
            )
        self.scenario = as_scenario(scenario)
        self.render_mode = render_mode
        self.observation_space = observation_space(self.scenario)
        self._actions = Actions(self.scenario, actions)
        self.action_space = self._actions.space
        self._source = EpisodeSource(self.scenario, split)
        self._simulator = Simulator(
            self.scenario,
            graph=self._source.workload.has_graphs,
            horizon_charge=horizon_charge,
        )
        self._renderer = None if render_mode is None else Renderer(self.scenario)
        self._playing = False

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode; see the class for `options`."""
        super().reset(seed=seed)
        self.episode, tape = self._source.draw(self.np_random, options)
        self._simulator.load(0, tape)
        self._playing = True
        if self._renderer is not None:
            self._renderer.reset(self.observation())
        info = self._info()
        del info["reward"]  # as in every step: it is returned by itself
        return self._simulator.observe_flat(0), info

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Put the requested fractions of the pool into force for one interval.

        Raises:
            TypeError: An action that does not hold numbers.
            ValueError: An action of another shape, or one that is not finite.
            RuntimeError: The episode is over, or none was begun.
        """
        if not self._playing:
            raise RuntimeError("no episode is running; call reset() before step()")
        flat = self._simulator.step_flat(self._actions.requests("action", action, ()))
        info = self._info()
        truncated = bool(self._simulator.environments["done"][0])
        self._playing = not truncated
        if self._renderer is not None:
            capacity = float(self._simulator.environments["capacity"][0])
            self._renderer.record(self.observation(), info, capacity)
        return flat[0], info.pop("reward"), False, truncated, info

    def observation(self) -> Observation:
        """Return what an allocator sees now, in physical units, arrays of the shape (N,).

        Raises:
            RuntimeError: No episode was begun.
        """
        if self._simulator.tapes[0] is None:
            raise RuntimeError("no episode was begun; call reset() before observation()")
        seen = self._simulator.observe()
        return Observation(self.scenario, seen.decision[0], seen.raw[0])

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which discrete actions can be cut now, as sb3-contrib's MaskablePPO asks for it.

        Raises:
            ConfigError: The environment was not made with `actions="slices"`.
        """
        blocked: NDArray[np.int64] = self._simulator.environments["blocked"][0]
        return self._actions.masks(blocked)

    def render(self) -> NDArray[np.uint8] | str | None:
        """Return shares and queues as a picture, (H, W, 3) uint8, or as a text."""
        if self._renderer is None:
            gym.logger.warn("render() needs a render_mode: gym.make(…, render_mode='rgb_array')")
            return None
        return self._renderer.rgb() if self.render_mode == "rgb_array" else self._renderer.ansi()

    def _info(self) -> dict[str, Any]:
        now, latency, cost, idle, reward, *_ = self._simulator.environments[0].item()
        return {
            "time_s": now,
            "latency_term": latency,
            "cost_term": cost,
            "idle_term": idle,
            "reward": reward,
        }
