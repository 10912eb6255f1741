"""Whether shipped policies still play as their cards say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...baselines.zoo import policies
from ...envs.errors import ConfigError, unknown_name
from ...eval.engines import Workers
from ...eval.summary import summarise
from ..config import parse_config
from ..folder import MANIFEST_FILE
from ..worlds import own_suite
from .judge import play_together
from .plan import SLOW
from .summary import read_manifest

TOLERANCE = 1e-6  # another processor may round otherwise; cards show three digits


@dataclass(frozen=True)
class Replay:
    """A shipped policy and its rivals, played again on the held-out tapes.

    Attributes:
        episodes: How many.
        rewards: Of each allocator, on the card and now.
    """

    episodes: int
    rewards: dict[str, tuple[float, float]]

    @property
    def changed(self) -> dict[str, tuple[float, float]]:
        """Those that are others now."""
        return {
            name: (before, now)
            for name, (before, now) in self.rewards.items()
            if not abs(now - before) <= TOLERANCE
        }


def replay(folder: Path, workers: Workers, quiet: bool = False) -> Replay:
    """Play a shipped policy and the rivals of its card, but for `mpc`, as they were judged.

    Args:
        folder: Of the policy.
        workers: What plays.
        quiet: Show no progress.

    Raises:
        ConfigError: The scenario, the policy or a rival cannot be played any more.
        TraceError: A trace is absent or damaged.
    """
    manifest = read_manifest(folder)
    config = parse_config(manifest["config"], f"{folder / MANIFEST_FILE}: config")
    judged, own = manifest["heldout"], f"seed {manifest['shipped_seed']}"
    rivals = {name: name for name in judged["against"] if name != SLOW}
    suite = own_suite(config, "heldout")
    rows = play_together(suite, {own: f"ppo:{folder}", **rivals}, workers, quiet=quiet)
    now = summarise(rows)["allocators"]
    rewards = {
        name: (judged["allocators"][name]["reward"], now[name]["reward"]) for name in (own, *rivals)
    }
    return Replay(len(suite.episodes), rewards)


def chosen(zoo: Path, scenarios: list[str]) -> list[Path]:
    """Return the folders of a zoo's policies: of some scenarios, or of all.

    Raises:
        ConfigError: There is none, or none of that name.
    """
    known = policies(zoo)
    if not known:
        raise ConfigError(f"--out must be a zoo to be checked, and {zoo} holds no policy")
    for name in scenarios:
        if name not in known:
            raise unknown_name("policy of the zoo", name, known)
    return [zoo / name for name in scenarios or known]
