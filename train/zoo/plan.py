"""What the zoo is to hold: a policy for each configuration, checked before anything is trained."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...baselines.action_map import ACTION_MAPS
from ...baselines.policy.networks import NETWORKS
from ...envs.errors import ConfigError
from ...envs.loading import load_scenario, read_yaml, shipped
from ...envs.observation import n_features
from ...eval.rollout import make_allocators
from ...eval.suite import Suite
from ...eval.summary import REFERENCE
from ..config import TrainConfig, load_config
from ..folder import MANIFEST_FILE
from ..worlds import own_suite
from .cmd import PROGRAM

MAX_BYTES = 1_000_000  # of a policy that is shipped
CAUSAL = (
    *("static", "round_robin", "adaptive", "demand", "never_warm", "knative"),
    *("processor_sharing", "cmu", "keda", "two_level"),
)
SLOW = "mpc"  # milliseconds a decision: only where it is asked for


@dataclass(frozen=True)
class Options:
    """What holds for every policy of the zoo.

    Attributes:
        seeds: Training runs of each configuration, from its own seed on.
        rivals: Allocators that play the same tapes; static is always among them.
        bound: Whether the clairvoyant bound of each held-out tape is computed.
        out: The zoo's folder.
        runs: Folder of the training runs, each at SCENARIO/SEED.
    """

    seeds: int = 5
    rivals: tuple[str, ...] = CAUSAL
    bound: bool = True
    out: Path = Path("configs/zoo")
    runs: Path = Path("runs/zoo")

    def __post_init__(self) -> None:
        others = [spec for spec in self.rivals if spec != REFERENCE]
        object.__setattr__(self, "rivals", (REFERENCE, *others))
        make_allocators(self.rivals)  # which refuses unknown and repeated ones


@dataclass(frozen=True)
class Entry:
    """One policy of the zoo.

    Attributes:
        config: Its training, with the first of the seeds.
        scenario: Bare name of the scenario, under which it is shipped.
        remarks: What the configuration's file says to readers of the card.
        command: Makes it again.
        options: Of the whole zoo.
    """

    config: TrainConfig
    scenario: str
    remarks: str
    command: str
    options: Options

    @property
    def folder(self) -> Path:
        """Where it is shipped."""
        return self.options.out / self.scenario

    def runs(self) -> list[tuple[TrainConfig, Path]]:
        """Return the training runs, each with its folder."""
        first = self.config.seed
        return [
            (replace(self.config, seed=seed), self.options.runs / self.scenario / str(seed))
            for seed in range(first, first + self.options.seeds)
        ]

    def suite(self, split: str) -> Suite:
        """Return the episodes of a split that are played: of validation those of the training."""
        suite = own_suite(self.config, split)
        return suite.first(self.config.validation_episodes) if split == "validation" else suite

    def rivals(self) -> tuple[list[str], dict[str, str]]:
        """Return the rivals that can play the scenario, and of the others why they cannot.

        A rule that the policy corrects is one of them: the correction has to be worth it.
        """
        can, refused = [], {}
        base = self.config.base
        named = self.options.rivals
        specs = [*named, *([base] if base and base not in named else [])]
        for spec, allocator in make_allocators(specs).items():
            try:
                allocator.reset(load_scenario(self.config.scenario))
                can.append(spec)
            except ConfigError as error:
                refused[spec] = str(error)
        return can, refused


def default_configs() -> list[str]:
    """Return the shipped configurations that bear the name of their scenario: one for each."""
    return [name for name in shipped("train") if load_config(name).scenario == name]


def plan(configs: Sequence[str], overrides: Sequence[str], options: Options) -> list[Entry]:
    """Return the entries that are asked for, each of which can be trained and written.

    Args:
        configs: Shipped configurations and YAML files; none for `default_configs`.
        overrides: `key=value` for all of them.
        options: Of the zoo.

    Raises:
        ConfigError: Anything that cannot be trained, played or written as asked.
        TraceError: A trace is absent or damaged.
    """
    entries = [_entry(name, overrides, options) for name in configs or default_configs()]
    names = [entry.scenario for entry in entries]
    for entry in entries:
        if names.count(entry.scenario) > 1:
            raise ConfigError(
                f"CONFIG must be one for each scenario, got several for {entry.scenario!r}; "
                "name one of them"
            )
        _check(entry)
    return entries


def _entry(name: str, overrides: Sequence[str], options: Options) -> Entry:
    config = load_config(name, overrides)
    files = shipped("train")
    content = read_yaml(files[name] if name in files else Path(name))
    return Entry(
        config=config,
        scenario=load_scenario(config.scenario).name,
        remarks=str(content.get("remarks", "")).strip(),
        command=_command(name, overrides, options),
        options=options,
    )


def _command(name: str, overrides: Sequence[str], options: Options) -> str:
    words = [*shlex.split(PROGRAM), name, *overrides, "--seeds", str(options.seeds)]
    if options.rivals == (*CAUSAL, SLOW):
        words.append("--mpc")
    elif options.rivals != CAUSAL:
        words += ["--rivals", ",".join(options.rivals)]
    return shlex.join([*words, *([] if options.bound else ["--no-bound"])])


def _check(entry: Entry) -> None:
    for split in ("train", "validation", "heldout"):
        suite = entry.suite(split)
        suite.scenario.tape(suite.episodes[0])
    size = 4 * _n_parameters(entry.config)
    if size > MAX_BYTES:
        raise ConfigError(
            f"net_arch must give at most {MAX_BYTES} bytes to be shipped for {entry.scenario!r}, "
            f"got {size}; make it smaller, or network equivariant"
        )
    if entry.folder.exists() and not (entry.folder / MANIFEST_FILE).is_file():
        raise ConfigError(
            f"--out must be new or a zoo, and {entry.folder} holds no {MANIFEST_FILE}; name "
            "another folder"
        )


def _n_parameters(config: TrainConfig) -> int:
    scenario = load_scenario(config.scenario)
    action, kind = ACTION_MAPS[config.action], NETWORKS[config.network]
    inputs = n_features(scenario) + action.corrects
    sizes = kind.sizes(scenario.n_agents, inputs, config.net_arch, action.per_agent)
    return sum(math.prod(shape) for shape in kind.shapes(sizes).values())
