"""What an experiment is: read strictly from YAML, checked before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...envs import checks
from ...envs.errors import ConfigError, unknown_name
from ...envs.loading import read_yaml, shipped
from ...eval.rollout import make_allocators
from ...eval.suite import load_suite
from ...eval.summary import REFERENCE
from ..config import TrainConfig, load_config

FOLDER = "experiments"
KEYS = ("description", "config", "suites", "variants")


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: For readers.
        overrides: `key=value` that go before the experiment's configuration.
        config: Of its first seed.
    """

    name: str
    overrides: tuple[str, ...]
    config: TrainConfig

    @property
    def slug(self) -> str:
        """Its name as that of a folder."""
        return re.sub(r"\W+", "-", self.name).strip("-")

    def runs(self, folder: Path, seeds: int) -> list[tuple[TrainConfig, Path]]:
        """Return the training runs, each with its folder."""
        first = self.config.seed
        return [
            (replace(self.config, seed=seed), folder / self.slug / str(seed))
            for seed in range(first, first + seeds)
        ]


@dataclass(frozen=True)
class Experiment:
    """Variants of a configuration, and where they are judged.

    Attributes:
        name: Of its file.
        description: The question.
        config: Name or path of the configuration that all variants begin with.
        suites: What all of them play.
        variants: The first is what the others are compared to.
        rivals: Allocators that play, too; static is among them.
    """

    name: str
    description: str
    config: str
    suites: tuple[str, ...]
    variants: tuple[Variant, ...]
    rivals: tuple[str, ...]


def load_experiment(name: str, rivals: tuple[str, ...], overrides: tuple[str, ...]) -> Experiment:
    """Load a shipped experiment by name, or anybody's from the path of a YAML file.

    Args:
        name: `ablations`, or a path that ends in `.yaml`.
        rivals: Allocators that play beside the variants.
        overrides: `key=value` for all variants, going before their own.

    Raises:
        ConfigError: Unknown name, key, suite or allocator, or a configuration that is refused.
        TraceError: The trace of a suite is absent or damaged.
    """
    content = _read(name)
    at = f"experiment {Path(name).stem!r}"
    checks.keys(at, content, KEYS, required=KEYS)
    config = checks.text(f"{at}: config", content["config"])
    suites = tuple(checks.text(f"{at}: suites", suite) for suite in _list(at, content, "suites"))
    for suite in suites:
        load_suite(suite)
    variants = checks.mapping(f"{at}: variants", content["variants"])
    if not suites or not variants:
        raise ConfigError(f"{at} must name at least one suite and one variant, got none")
    others = tuple(spec for spec in rivals if spec != REFERENCE)
    make_allocators((REFERENCE, *others))  # which refuses unknown and repeated ones
    return Experiment(
        name=Path(name).stem,
        description=checks.text(f"{at}: description", content["description"]),
        config=config,
        suites=suites,
        variants=tuple(_variant(at, config, variants, one, overrides) for one in variants),
        rivals=(REFERENCE, *others),
    )


def _variant(
    at: str,
    config: str,
    variants: Mapping[str, object],
    name: str,
    overrides: tuple[str, ...],
) -> Variant:
    own = _list(f"{at}: variants", variants, name)
    given = [checks.text(f"{at}: variants.{name}", text) for text in own]
    return Variant(name, tuple(given), load_config(config, [*given, *overrides]))


def _list(at: str, content: Mapping[str, Any], key: str) -> list[Any]:
    where = f"{at}.{key}" if at.endswith("variants") else f"{at}: {key}"
    found: Any = checks.listing(where, content[key])
    return list(found)


def _read(name: str) -> Mapping[str, object]:
    if name.endswith((".yaml", ".yml")):
        return read_yaml(Path(name))
    known = shipped(FOLDER)
    if name not in known:
        raise unknown_name("experiment", name, known)
    return read_yaml(known[name])
