"""Random search with successive halving over an allocator's own search space.

Only the training split is ever played. Candidates share their tapes, so that none is better for its
luck; the best quarter of each round goes on to four times as many tapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..baselines import allocator_class, make_allocator
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
NEARBY = 0.15  # standard deviation of the second half's draws, in widths of the range
TOLERANCE = 5e-4  # a parameter that gains less of the reward is left at its default


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


class Race:
    """Scores candidates on shared tapes, ever fewer of them on ever more tapes.

    Args:
        allocator: Name of the allocator.
        scenario: What is simulated.
        tapes: Training tapes; the first rounds play the first ones.
        advance: Called after each episode.
    """

    def __init__(
        self,
        allocator: str,
        scenario: Scenario,
        tapes: Sequence[Tape],
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.allocator = allocator
        self.scenario = scenario
        self.tapes = tapes
        self.advance = advance

    def score(self, parameters: Parameters, n_tapes: int | None = None) -> float:
        """Return the mean reward per interval over the first tapes, by default all."""
        text = ",".join(f"{k}={v!r}" for k, v in parameters.items())
        allocator = make_allocator(f"{self.allocator}:{text}" if text else self.allocator)
        rewards = []
        for tape in self.tapes[:n_tapes]:
            rewards.append(float(play(self.scenario, tape, allocator).rewards.mean()))
            self.advance()
        return float(np.mean(rewards))

    def winner(self, candidates: Sequence[Parameters]) -> Parameters:
        """Return the best candidate; the better quarter of a round plays four times the tapes."""
        for count, n_tapes in rounds(len(candidates), len(self.tapes)):
            scores = [self.score(candidate, n_tapes) for candidate in candidates[:count]]
            order = np.argsort(-np.asarray(scores), kind="stable")
            candidates = [candidates[i] for i in order]
        return candidates[0]

    def pruned(self, parameters: Parameters) -> Parameters:
        """Drop every parameter whose default does as well: what stays has a reason."""
        kept, target = dict(parameters), self.score(parameters)
        for name in parameters:
            without = {key: value for key, value in kept.items() if key != name}
            if self.score(without) >= target - TOLERANCE * abs(target):
                kept = without
        return kept


def tune(
    allocator: str, scenario_name: str, *, trials: int, n_tapes: int, seed: int, quiet: bool = False
) -> Found:
    """Search for the parameters with the highest mean reward on training tapes.

    Half of the trials are drawn from the whole search space, the other half around the best of
    those; parameters that make no difference are left at their defaults.

    Raises:
        ConfigError: Unknown names, an allocator without parameters, a scenario without workload.
    """
    space = allocator_class(allocator).search_space
    if not space:
        raise ConfigError(f"allocator {allocator!r} must have a search_space to be tuned, got none")
    scenario = load_scenario(scenario_name)
    rng = np.random.default_rng(seed)
    tapes = _training_tapes(scenario, n_tapes, rng)
    half = max(1, trials // 2)
    races = 2 * sum(count * size for count, size in rounds(half, n_tapes))
    with progress(
        f"{allocator} on {scenario_name}", races + (len(space) + 3) * n_tapes, quiet
    ) as advance:
        race = Race(allocator, scenario, tapes, advance)
        first = race.winner([draw(space, rng) for _ in range(half)])
        nearby = [draw(space, rng, around=first) for _ in range(half - 1)]
        parameters = race.pruned(race.winner([first, *nearby]))
        reward, before = race.score(parameters), race.score({})
    command = (
        f"slicegym-eval tune --allocator {allocator} --scenario {scenario_name} "
        f"--trials {trials} --tapes {n_tapes} --seed {seed}"
    )
    return Found(allocator, scenario_name, parameters, reward, before, command)


def draw(
    space: Sequence[Range], rng: np.random.Generator, around: Parameters | None = None
) -> dict[str, float]:
    """Draw one candidate: anywhere, or within a normal distance of another one."""
    return {one.name: _draw_one(one, rng, around) for one in space}


def _draw_one(one: Range, rng: np.random.Generator, around: Parameters | None) -> float:
    low, high = (math.log(one.low), math.log(one.high)) if one.log else (one.low, one.high)
    if around is None:
        value = rng.uniform(low, high)
    else:
        centre = math.log(around[one.name]) if one.log else around[one.name]
        value = rng.normal(centre, NEARBY * (high - low))
    value = float(f"{math.exp(value) if one.log else value:.{DIGITS}g}")
    return min(max(value, one.low), one.high)


def rounds(n_candidates: int, n_tapes: int) -> list[tuple[int, int]]:
    """Return (candidates, tapes) of each round; the last one plays all tapes."""
    sizes = [(n_candidates, n_tapes)]
    while sizes[0][1] > KEEP and sizes[-1][0] > KEEP:
        sizes = [(count, max(1, size // KEEP)) for count, size in sizes]
        sizes.append((math.ceil(sizes[-1][0] / KEEP), n_tapes))
    return sizes


def _training_tapes(scenario: Scenario, n: int, rng: np.random.Generator) -> list[Tape]:
    workload = scenario.workload
    if workload is None:
        raise ConfigError(f"scenario {scenario.name!r} needs a workload to be tuned on; add one")
    episodes = [workload.sample(scenario, SPLIT, rng) for _ in range(n)]
    return [scenario.tape(episode) for episode in episodes]


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
# Parameters of `{name}` by scenario, tuned on training splits alone; what each means
# stands in its docstring. Written by the commands given; run one again to renew its entry.
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
