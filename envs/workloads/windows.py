"""Where on the clocks of its traces an episode lies: always wholly inside one split's windows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from ..errors import ConfigError
from .base import SEEDS, Episode
from .randomness import keyed, label_key

# Start and end of a split's window on each clock [s].
Windows = Mapping[str, tuple[float, float]]


def check_lengths(windows: Windows, split: str, horizon_s: float) -> None:
    """Raise `ConfigError` where an episode does not fit into a window."""
    for clock, (start, end) in windows.items():
        if end - start < horizon_s:
            raise ConfigError(
                f"horizon_s must be at most {end - start:g} s, the {split} window of clock "
                f"{clock!r} ({start:g}–{end:g} s), got {horizon_s:g}; shorten the horizon"
            )


def starts(windows: Windows, episode: Episode, horizon_s: float) -> dict[str, float]:
    """Return where the episode starts on each clock [s].

    `episode.start_s` counts from each window's own start. Without it every clock draws its own
    start from the seed: traces on one clock stay together, systems that never met in reality meet
    at offsets that differ from episode to episode.

    Raises:
        ConfigError: The episode does not lie wholly inside a window.
    """
    check_lengths(windows, episode.split, horizon_s)
    found = {}
    for clock, (start, end) in windows.items():
        room = end - start - horizon_s
        offset = episode.start_s
        if offset is None:
            offset = keyed(episode.seed, label_key(f"clock {clock}")).random() * room
        if not 0 <= offset <= room:
            raise ConfigError(
                f"episode.start_s must lie in [0, {room:g}] for the {episode.split} window of "
                f"clock {clock!r} ({start:g}–{end:g} s) and a horizon of {horizon_s:g} s, got "
                f"{offset!r}; an episode must not leave its split"
            )
        found[clock] = start + offset
    return found


def blocks(windows: Windows, split: str, horizon_s: float) -> tuple[Episode, ...]:
    """Cut the windows into episodes that do not overlap on any clock.

    Pairing a block of one clock with several of another would give more episodes, but no more
    independent data, so that the shortest window says how many there are.

    Raises:
        ConfigError: A window is shorter than the horizon.
    """
    check_lengths(windows, split, horizon_s)
    # The tolerance forgives 0.1 · 3 > 0.3.
    count = min(int((end - start) / horizon_s + 1e-9) for start, end in windows.values())
    episodes = []
    for j in range(count):
        offset = min(j * horizon_s, *(end - start - horizon_s for start, end in windows.values()))
        spans = (  # of a trace of one's own the file's name: results name no folder
            f"{PurePath(clock).name} {start + offset:g}-{start + offset + horizon_s:g}"
            for clock, (start, _) in windows.items()
        )
        block = " + ".join(spans)
        episodes.append(Episode(split, SEEDS[split][0] + j, start_s=offset, block=block))
    return tuple(episodes)
