"""Random search with successive halving over an allocator's own search space.

Only the training split is ever played. Candidates share their tapes, so that one is not better for
its luck; the best quarter of each round goes on to four times as many tapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..baselines import Allocator, allocator_class, make_allocator
from ..baselines.base import Range
from ..envs.errors import ConfigError
from ..envs.loading import load_scenario, read_yaml
from .output import check_target, write_atomically
from .rollout import play
from .session import progress

if TYPE_CHECKING:
    from ..envs.spec import Scenario
    from ..envs.tape import Tape

Parameters = Mapping[str, float]

SPLIT = "train"
KEEP = 4  # one candidate in so many survives a round, and plays so many times the tapes
DIGITS = 3  # more would claim a precision that the search does not have


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        allocator: Name of the allocator.
        scenario: Name of the scenario.
        parameters: The best set.
        reward: Its mean reward per interval over the last round's training tapes.
        default_reward: That of the allocator without parameters, on the same tapes.
        command: Command that repeats the search.
    """

    allocator: str
    scenario: str
    parameters: Parameters
    reward: float
    default_reward: float
    command: str

    def entry(self) -> dict[str, Any]:
        """Return what is written under the scenario's name."""
        return {
            "parameters": dict(self.parameters),
            "tuned": {
                "command": self.command,
                "split": SPLIT,
                "date": datetime.now(UTC).date().isoformat(),
                "reward": round(self.reward, 4),
            },
        }


def tune(
    allocator: str, scenario_name: str, *, trials: int, n_tapes: int, seed: int, quiet: bool = False
) -> Found:
    """Search for the parameters with the highest mean reward on training tapes.

    Raises:
        ConfigError: Unknown names, an allocator without parameters, a scenario without workload.
    """
    space = allocator_class(allocator).search_space
    if not space:
        raise ConfigError(f"allocator {allocator!r} must have a search_space to be tuned, got none")
    scenario = load_scenario(scenario_name)
    rng = np.random.default_rng(seed)
    candidates = [draw(space, rng) for _ in range(trials)]
    tapes = _training_tapes(scenario, n_tapes, rng)
    sizes = rounds(trials, n_tapes)
    total = sum(count * size for count, size in sizes) + n_tapes
    with progress(f"{allocator} on {scenario_name}", total, quiet) as advance:
        scores: list[float] = []
        for count, size in sizes:
            if scores:
                candidates = best(candidates, scores, count)
            scores = [
                score(scenario, tapes[:size], _build(allocator, candidate), advance)
                for candidate in candidates
            ]
        default = score(scenario, tapes, make_allocator(allocator), advance)
    top = int(np.argmax(scores))
    command = (
        f"slicegym-eval tune --allocator {allocator} --scenario {scenario_name} "
        f"--trials {trials} --tapes {n_tapes} --seed {seed}"
    )
    return Found(allocator, scenario_name, candidates[top], scores[top], default, command)


def draw(space: Sequence[Range], rng: np.random.Generator) -> dict[str, float]:
    """Draw one candidate."""
    return {one.name: _draw_one(one, rng) for one in space}


def _draw_one(one: Range, rng: np.random.Generator) -> float:
    if one.log:
        value = math.exp(rng.uniform(math.log(one.low), math.log(one.high)))
    else:
        value = rng.uniform(one.low, one.high)
    return min(max(float(f"{value:.{DIGITS}g}"), one.low), one.high)


def rounds(trials: int, n_tapes: int) -> list[tuple[int, int]]:
    """Return (candidates, tapes) of each round; the last one plays all tapes."""
    sizes = [(trials, n_tapes)]
    while sizes[0][1] > KEEP and sizes[-1][0] > KEEP:
        sizes = [(count, max(1, size // KEEP)) for count, size in sizes]
        sizes.append((math.ceil(sizes[-1][0] / KEEP), n_tapes))
    return sizes


def best(
    candidates: Sequence[dict[str, float]], scores: Sequence[float], count: int
) -> list[dict[str, float]]:
    """Return the `count` candidates with the highest scores, best first."""
    order = np.argsort(-np.asarray(scores), kind="stable")[:count]
    return [candidates[i] for i in order]


def score(scenario: Scenario, tapes: Sequence[Tape], allocator: Allocator, advance: Any) -> float:
    """Return the mean reward per interval over tapes."""
    rewards = []
    for tape in tapes:
        allocator.reset(scenario)
        rewards.append(float(play(scenario, tape, allocator).rewards.mean()))
        advance()
    return float(np.mean(rewards))


def _build(name: str, parameters: Parameters) -> Allocator:
    return make_allocator(f"{name}:" + ",".join(f"{k}={v!r}" for k, v in parameters.items()))


def _training_tapes(scenario: Scenario, n: int, rng: np.random.Generator) -> list[Tape]:
    workload = scenario.workload
    if workload is None:
        raise ConfigError(f"scenario {scenario.name!r} needs a workload to be tuned on; add one")
    episodes = [workload.sample(scenario, SPLIT, rng) for _ in range(n)]
    return [workload.tape(scenario, episode) for episode in episodes]


def describe(found: Found) -> str:
    """Return the result in one line of words and one to copy."""
    spec = ",".join(f"{k}={v:g}" for k, v in found.parameters.items())
    return (
        f"# {found.scenario}: reward {found.reward:.4f} on training tapes, "
        f"{found.default_reward:.4f} before\n# --allocators '{found.allocator}:{spec}'"
    )


def to_yaml(entries: Mapping[str, Any]) -> str:
    """Return entries as YAML, in the order given."""
    text: str = yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=100)
    return text


HEADER = """\
# Parameters of `{name}` by scenario, tuned on training splits alone; see its docstring for what each
# means. Written by the commands given; run one again to renew its entry.
"""


def check_out(path: Path) -> None:
    """Refuse a file that cannot be read or written, before the search."""
    check_target(path)
    if path.exists():
        read_yaml(path)


def save(path: Path, scenario: str, found: Found) -> None:
    """Put the scenario's entry into a file, leaving those of others."""
    entries = dict(read_yaml(path)) if path.exists() else {}
    entries[scenario] = found.entry()
    text = HEADER.format(name=found.allocator) + to_yaml(dict(sorted(entries.items())))
    write_atomically(path, text)
