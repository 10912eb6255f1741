"""What one training run is made of: a frozen model, read strictly from YAML and `key=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from ..baselines.action_map import ACTION_MAPS
from ..baselines.policy.header import check_base, check_hidden
from ..baselines.policy.networks import ACTIVATIONS, NETWORKS
from ..envs import checks
from ..envs.errors import ConfigError, unknown_name
from ..envs.loading import read_yaml, shipped
from ..envs.workloads.base import SPLITS

TRAIN = "train"
MAX_ENVS = 65_536
FOR_READERS = ("description", "remarks", "tuned")  # keys of a file that change nothing


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run of PPO.

    Attributes:
        scenario: Name of a shipped scenario, or the path of a YAML file.
        split: Where training episodes come from: `train`, and nothing else is allowed.
        seed: Of the network, the exploration and the episodes.
        total_timesteps: Decisions to train for, over all environments together.
        time_limit_s: Stop between two updates after so much time [s], where the run can be
            resumed; `None` for no limit.
        patience: Stop between two updates when no policy has been better than the best on
            validation for so many timesteps; `None` for never.
        n_envs: Environments in the batch.
        n_steps: Decisions of each environment between two updates.
        batch_size: Decisions in a minibatch; divides n_envs · n_steps.
        n_epochs: Passes over the data of an update.
        gamma: Discount per decision.
        gae_lambda: Trade of bias for variance in the advantages.
        clip_range: How far an update may move the odds of an action.
        ent_coef: Weight of the entropy bonus.
        vf_coef: Weight of the value loss.
        max_grad_norm: Longer gradients are cut.
        learning_rate: At the start of training.
        final_learning_rate: At its end; it falls linearly.
        log_std_init: Logarithm of the exploration's standard deviation at the start.
        network: `equivariant`, one small network for every agent, or `mlp`, one for all.
        net_arch: Sizes of the hidden layers of policy and value network.
        activation: `relu`, or `tanh`, which learns as well and takes a fifth longer.
        action: Action map, from the network's outputs to shares (`baselines/action_map.py`).
        base: Allocator whose shares are corrected, where the action map corrects.
        pinned: Whether the exported policy corrects the base with the parameters that it has in
            the run's own scenario; otherwise with those that are tuned for what it plays.
        without: Features that the policy is not told, by the names of the observation's columns:
            for ablations.
        agents: Agents of the scenario that are there, each with its own stream; empty for all.
        mixture: Scenarios that are trained on beside the run's own, in equal parts of the batch;
            their agents must have the same features, and may be more or fewer.
        variants: Versions of each of these scenarios: itself, and others that are drawn.
        vary_load: Largest factor by which a drawn version serves calls faster or slower.
        vary_mix: Largest such factor of single agents.
        vary_cold_start: Largest factor by which an agent's model loads faster or slower.
        weights: Of latency, cost and idle time in the reward, instead of the scenario's.
        outlook: Whether the value network, which nobody exports, sees the calls to come.
        start_share: Part of the pool that the first policy asks for, shared out equally.
        burn_in: Timesteps in which only the value learns: a policy that starts from a good rule
            is not to be spoiled by a value that knows nothing (Silver et al. 2018, "Residual
            Policy Learning").
        normalize_reward: Divide rewards by the running deviation of their discounted sum. Only
            training sees that; observations are never normalised.
        staggered: Start the first episodes at phases spread over the episode.
        eval_every: Timesteps between two evaluations on the validation split, each of which also
            writes a checkpoint.
        validation_episodes: Play only so many of the validation episodes; `None` for all.
        baselines: Allocators whose validation figures lie in the same charts.
        bound: Whether the clairvoyant bound of the validation episodes lies in the same charts, and
            scores with it. The first time it takes some seconds an episode, then it is kept.
        torch_threads: Threads of torch; small networks gain little from a second.
    """

    scenario: str
    split: str = TRAIN
    seed: int = 0
    total_timesteps: int = 2_000_000
    time_limit_s: float | None = None
    patience: int | None = None
    n_envs: int = 256
    n_steps: int = 64
    batch_size: int = 4096
    n_epochs: int = 4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    learning_rate: float = 5e-4
    final_learning_rate: float = 3e-5
    log_std_init: float = -1.0
    network: str = "mlp"
    net_arch: tuple[int, ...] = (64, 64)
    activation: str = "relu"
    action: str = "direct"
    base: str = ""
    pinned: bool = True
    without: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    mixture: tuple[str, ...] = ()
    variants: int = 1
    vary_load: float = 1.0
    vary_mix: float = 1.0
    vary_cold_start: float = 1.0
    weights: tuple[float, ...] = ()
    outlook: bool = False
    start_share: float = 1.0
    burn_in: int = 0
    normalize_reward: bool = True
    staggered: bool = True
    eval_every: int = 100_000
    validation_episodes: int | None = None
    baselines: tuple[str, ...] = ("static", "round_robin", "adaptive", "demand")
    bound: bool = False
    torch_threads: int = 1

    def __post_init__(self) -> None:
        checks.text("scenario", self.scenario)
        self._check_split()
        self._check_counts()
        self._check_numbers()
        for name, known in (
            ("network", NETWORKS),
            ("activation", ACTIVATIONS),
            ("action", ACTION_MAPS),
        ):
            checks.one_of(name, getattr(self, name), known)
        check_base(self.action, self.base)
        for name in ("pinned", "outlook", "normalize_reward", "staggered", "bound"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be true or false, got {getattr(self, name)!r}")
        self._check_lists()

    def _check_split(self) -> None:
        checks.one_of("split", self.split, SPLITS)
        if self.split != TRAIN:
            use = {"validation": "choosing a model", "heldout": "final figures"}[self.split]
            raise ConfigError(
                f"split must be 'train', got {self.split!r}: that data is for {use} alone, and a "
                "policy trained on it would be judged by what it has seen; leave split out"
            )

    def _check_counts(self) -> None:
        at_least = dict.fromkeys(("total_timesteps", "n_steps", "n_epochs", "eval_every"), 1)
        at_least |= {"seed": 0, "burn_in": 0, "batch_size": 2, "torch_threads": 1, "variants": 1}
        for name, low in at_least.items():
            checks.integer(name, getattr(self, name), at_least=low)
        checks.integer("n_envs", self.n_envs, at_least=1, at_most=MAX_ENVS)
        for name in ("validation_episodes", "patience"):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name), at_least=1)
        if self.timesteps_per_update % self.batch_size:
            raise ConfigError(
                f"batch_size must divide n_envs · n_steps = {self.timesteps_per_update}, "
                f"got {self.batch_size}; change one of the three"
            )

    def _check_numbers(self) -> None:
        for name in ("clip_range", "learning_rate", "final_learning_rate", "max_grad_norm"):
            checks.number(name, getattr(self, name), above=0)
        for name in ("ent_coef", "vf_coef"):
            checks.number(name, getattr(self, name), at_least=0)
        for name in ("gamma", "gae_lambda", "start_share"):
            checks.number(name, getattr(self, name), at_least=0, at_most=1)
        for name in ("vary_load", "vary_mix", "vary_cold_start"):
            checks.number(name, getattr(self, name), at_least=1, at_most=100)
        checks.number("log_std_init", self.log_std_init, at_least=-10, at_most=2)
        if self.time_limit_s is not None:
            checks.number("time_limit_s", self.time_limit_s, above=0)

    def _check_lists(self) -> None:
        hidden = check_hidden("net_arch", self.net_arch, self.network, at_most=4096)
        object.__setattr__(self, "net_arch", hidden)
        for name in ("baselines", "agents", "mixture", "without"):
            self._check_names(name)
        self._check_weights()
        if self.n_envs < self.parts:
            raise ConfigError(
                f"n_envs must be at least the {self.parts} scenarios and variants that share the "
                f"batch, got {self.n_envs}; raise it"
            )

    def _check_names(self, field: str) -> None:
        names = _as_tuple(field, getattr(self, field))
        object.__setattr__(self, field, names)
        for name in names:
            if names.count(checks.text(field, name)) > 1:
                raise ConfigError(f"{field} must differ from each other, got {name!r} twice")

    def _check_weights(self) -> None:
        weights = _as_tuple("weights", self.weights)
        object.__setattr__(self, "weights", weights)
        for weight in weights:
            checks.number("weights", weight, at_least=0)
        if len(weights) not in (0, 3):
            raise ConfigError(
                f"weights must be those of latency, cost and idle time, got {list(weights)}; "
                "write weights=[1,1,0.5], or leave it out"
            )

    @property
    def parts(self) -> int:
        """Scenarios and versions of them that share the batch."""
        return (1 + len(self.mixture)) * self.variants

    @property
    def timesteps_per_update(self) -> int:
        """Decisions between two updates, n_envs · n_steps."""
        return self.n_envs * self.n_steps

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name, lists as lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def _as_tuple(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} must be a list, got {value!r} ({type(value).__name__})")
    return tuple(value)


def load_config(name: str | Path, overrides: Iterable[str] = ()) -> TrainConfig:
    """Load a shipped configuration by name, or anybody's from the path of a YAML file.

    Args:
        name: `azure`, or a path that ends in `.yaml`.
        overrides: `key=value` each, going before what the file says.

    Raises:
        ConfigError: Unknown name, unreadable file, unknown key or a value out of range.
        TypeError: A value of the wrong type.
    """
    content = dict(_read(name))
    for override in overrides:
        key, value = _parse_override(override)
        content[key] = value
    return parse_config(content, f"training configuration {config_name(name)!r}")


def config_name(name: str | Path) -> str:
    """Return the bare name of a configuration, which its output folder gets."""
    return Path(name).stem if _is_path(name) else str(name)


def parse_config(content: Mapping[str, object], at: str) -> TrainConfig:
    """Build a configuration from a mapping; `at` says in errors where it stands."""
    names = [field.name for field in fields(TrainConfig)]
    checks.keys(at, content, [*names, *FOR_READERS], required=("scenario",))
    values: dict[str, Any] = {k: v for k, v in content.items() if k not in FOR_READERS}
    try:
        return TrainConfig(**values)
    except (ConfigError, TypeError) as error:
        raise type(error)(f"{at}: {error}") from error


def _is_path(name: str | Path) -> bool:
    return isinstance(name, Path) or name.endswith((".yaml", ".yml")) or "/" in name


def _read(name: str | Path) -> Mapping[str, object]:
    if _is_path(name):
        return read_yaml(Path(name))
    known = shipped("train")
    if name not in known:
        raise unknown_name("training configuration", name, known)
    return read_yaml(known[str(name)])


def _parse_override(text: str) -> tuple[str, object]:
    key, equals, value = (part.strip() for part in text.partition("="))
    hints = get_type_hints(TrainConfig)
    if equals and key and key not in hints:
        raise unknown_name("training option", key, hints)
    if value == "" and hints.get(key) is str and equals:
        return key, ""  # base= for no rule
    if not equals or not key or not value:
        raise ConfigError(f"an override must be key=value, got {text!r}")
    number = _as_number(value)
    if number is not None and hints[key] in (float, float | None):
        return key, number
    if number is not None and hints[key] in (int, int | None) and number.is_integer():
        return key, int(number)  # 2e6 is a whole number to people
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"{key} must be a YAML value, got {value!r}") from None


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
