"""The zoo: policies that come with the package, and the allocator that finds the scenario's own."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..envs.errors import ConfigError
from ..envs.loading import unsized
from .base import Allocator, Shares, register
from .learned import Learned, load_policy
from .policy.files import HEADER_FILE

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario

FOLDER = "zoo"


def zoo_folder() -> Traversable:
    """Return `configs/zoo`, which need not exist."""
    return resources.files(f"{__package__.rsplit('.', 1)[0]}.configs") / FOLDER


def policies(zoo: Path | Traversable) -> dict[str, Path | Traversable]:
    """Return the folders of a zoo's policies by the name of their scenario."""
    entries = zoo.iterdir() if zoo.is_dir() else iter(())
    found = {e.name: e for e in entries if (e / HEADER_FILE).is_file() and e.name[0] != "."}
    return dict(sorted(found.items()))


@register("ppo")
class Shipped(Allocator):
    """The shipped policy of the scenario that is played; `ppo:DIR` is one's own, as `learned:DIR`.

    Args:
        zoo: Folder with a policy's folder for each scenario; `configs/zoo` by default.
    """

    beyond_linear = "runs a network"
    trained = True

    def __init__(self, zoo: Path | Traversable | None = None) -> None:
        self._zoo = zoo_folder() if zoo is None else zoo
        self._loaded: dict[str, Learned] = {}
        self._inner: Learned | None = None
        self._scenario: Scenario | None = None

    @classmethod
    def from_text(cls, text: str) -> Allocator:
        """Return the shipped policies, or load the one of a folder.

        Raises:
            ConfigError: There is not a whole and sound policy in the folder.
        """
        return Learned.from_text(text) if text else cls()

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """None: a scenario that nobody trained on has no policy."""
        return ()

    def reset(self, scenario: Scenario) -> None:
        """Look up the scenario's policy; `many-64` has that of `many`.

        Raises:
            ConfigError: There is none, or it does not fit.
        """
        self._inner = self._scenario = self.folder = None
        inner = self._policy_of(unsized(scenario.name))
        inner.reset(scenario)
        self._inner, self._scenario, self.folder = inner, scenario, inner.folder

    def _policy_of(self, name: str) -> Learned:
        if name not in self._loaded:
            known = policies(self._zoo)
            if name not in known:
                raise ConfigError(
                    f"allocator 'ppo' has no shipped policy for scenario {name!r}; there is one "
                    f"for {', '.join(known) or 'none so far'}; train your own and name its folder: "
                    "ppo:DIR"
                )
            self._loaded[name] = Learned(load_policy(known[name]), known[name])
        return self._loaded[name]

    def parameters(self) -> dict[str, Any]:
        """Return which policy the last reset has found; empty before one."""
        return {} if self._inner is None else self._inner.parameters()

    def allocate(self, observation: Observation) -> Shares:
        """Return the shares that the policy asks for."""
        if observation.scenario is not self._scenario:
            self.reset(observation.scenario)
        assert self._inner is not None
        return self._inner.allocate(observation)
