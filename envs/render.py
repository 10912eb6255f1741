"""An episode for human eyes: live as pixels or text, and whole runs as figures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .kernel.layout import STATUS_NAMES
from .observation import Observation
from .run import Run
from .spec import Scenario
from .timeline import Frame, Timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HISTORY = 120  # decisions that a live picture shows
MAX_LINES = 16  # agents that the text shows
TITLE_WIDTH, NOTE_WIDTH, NAME_WIDTH, BAR_WIDTH = 24, 48, 14, 20  # characters


class Renderer:
    """Shows a running episode of one environment; remembers its last 120 decisions.

    Args:
        scenario: The system shown.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._frames: deque[Frame] = deque(maxlen=HISTORY + 1)
        self._terms: deque[dict[str, float]] = deque(maxlen=HISTORY)
        self._peaks = np.zeros(3)

    def reset(self, observation: Observation) -> None:
        """Forget the last episode and begin with its successor's first observation."""
        self._frames.clear()
        self._terms.clear()
        self._peaks = np.zeros(3)
        self._add(Frame.of(observation))

    def record(
        self, observation: Observation, terms: Mapping[str, float], capacity: float | None = None
    ) -> None:
        """Add a step.

        Args:
            observation: What it led to.
            terms: Its `reward`, and under names that end in `_term` the reward's terms; other
                entries are not shown.
            capacity: GPUs that were ready and not lost; by default the whole pool's.
        """
        self._newest()
        self._add(Frame.of(observation, capacity))
        shown = [name for name in terms if name == "reward" or name.endswith("_term")]
        self._terms.append({name: float(terms[name]) for name in shown})

    def rgb(self) -> NDArray[np.uint8]:
        """Return a picture, shape (640, 960, 3), of the last 120 decisions.

        From the top: shares as parts of the pool, queues, waits of each agent's oldest call, and
        lifecycles. The axes keep their place, and their ends change only in large steps.
        """
        from .picture import episode_figure, pixels

        newest, scenario = self._newest(), self.scenario
        width = min(HISTORY * scenario.interval_s, scenario.horizon_s)
        start = max(0.0, newest.time_s - width)
        figure = episode_figure(
            Timeline.of_frames(scenario, list(self._frames)),
            f"{_plain(scenario.name, TITLE_WIDTH)}   {self._clock()}",
            self._words(),
            (start, start + width),
            self._peaks,
        )
        return pixels(figure)

    def ansi(self) -> str:
        """Return the newest state as plain text, at most 80 columns wide, one line an agent."""
        newest, scenario = self._newest(), self.scenario
        shown, note = _longest_queues(newest)
        head = f"{_plain(scenario.name, TITLE_WIDTH)}   {self._clock()}"
        share = f"  share of {scenario.gpus:g} GPU"
        columns = f"{'agent':{NAME_WIDTH}} {share:{BAR_WIDTH + 10}} {'queue':>7} waits [s]  status"
        lines = [head, self._words() or "no step yet", columns]
        lines += [_line(scenario, newest, i) for i in shown]
        return "\n".join(line[:80].rstrip() for line in [*lines, *note]) + "\n"

    def _add(self, frame: Frame) -> None:
        self._frames.append(frame)
        peaks = [frame.queue.max(), frame.wait_s.max(), frame.asked]
        self._peaks = np.maximum(self._peaks, peaks)

    def _newest(self) -> Frame:
        if not self._frames:
            raise RuntimeError("nothing to render yet; call reset first")
        return self._frames[-1]

    def _clock(self) -> str:
        return f"{self._newest().time_s:,.1f} of {self.scenario.horizon_s:,.1f} s"

    def _words(self) -> str:
        return _words(self._terms[-1]) if self._terms else ""


def plot_run(run: Run, path: str | Path | None = None, *, note: str = "") -> Figure:
    """Draw a whole episode as the live picture does, over means of the reward and its terms.

    Args:
        run: The run.
        path: Where to write the picture as well; the ending names the format.
        note: What to say about it in a line before the means, its allocator say.

    Returns:
        A matplotlib Figure, 960 x 640 pixels, that belongs to no window.
    """
    from .picture import episode_figure

    timeline = Timeline.of_run(run)
    lines = [_plain(note, NOTE_WIDTH)] if note else []
    return _saved(
        episode_figure(
            timeline,
            f"{_plain(run.scenario.name, TITLE_WIDTH)}   {run.scenario.horizon_s:,.0f} s",
            "\n".join([*lines, f"on average: {_words(_means(run))}"]),
            (0.0, float(run.scenario.horizon_s)),
            timeline.peaks,
        ),
        path,
    )


def plot_runs(runs: Mapping[str, Run], path: str | Path | None = None) -> Figure:
    """Draw runs of the same tape side by side, with shared axes.

    Args:
        runs: Two to four runs by the name to write above each, as a rule their allocator's.
        path: Where to write the picture as well; the ending names the format.

    Raises:
        ValueError: Another number of runs, or runs of different tapes or scenarios.
    """
    from .picture import comparison_figure

    if not 2 <= len(runs) <= 4:
        raise ValueError(f"runs must be 2 to 4 to fit beside each other, got {len(runs)}")
    first = next(iter(runs.values()))
    for name, run in runs.items():
        if run.scenario != first.scenario or run.tape.digest != first.tape.digest:
            raise ValueError(
                f"runs must be of one scenario and one tape to be compared; {name!r} is of another"
            )
    timelines = {name: Timeline.of_run(run) for name, run in runs.items()}
    subtitles = [_words(_means(run)) for run in runs.values()]
    title = _plain(first.scenario.name, TITLE_WIDTH)
    return _saved(comparison_figure(timelines, subtitles, title), path)


def _means(run: Run) -> dict[str, float]:
    return {
        "reward": float(run.rewards.mean()),
        "latency_term": float(run.latency_term.mean()),
        "cost_term": float(run.cost_term.mean()),
        "idle_term": float(run.idle_term.mean()),
    }


def _saved(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path)
    return figure


def _words(terms: Mapping[str, float]) -> str:
    names = sorted(terms, key=lambda name: name.endswith("_term"))  # the reward first
    return "   ".join(f"{name.removesuffix('_term')} {terms[name]:.3f}" for name in names)


def _longest_queues(frame: Frame) -> tuple[list[int], list[str]]:
    """Return the agents to show, in their order, and a line on those left out."""
    n = len(frame.queue)
    if n <= MAX_LINES:
        return list(range(n)), []
    longest = np.argsort(-frame.queue, kind="stable")[:MAX_LINES]
    hidden = n - MAX_LINES
    return sorted(longest.tolist()), [
        f"The {MAX_LINES} of {n} agents with the longest queues; {hidden} are not shown."
    ]


def _line(scenario: Scenario, frame: Frame, i: int) -> str:
    share = frame.share[i]
    filled = round(BAR_WIDTH * min(1.0, share / scenario.gpus))
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    return (
        f"{_plain(scenario.agent_names[i], NAME_WIDTH):{NAME_WIDTH}} {share:7.3f} [{bar}]"
        f" {frame.queue[i]:7,.0f} {frame.wait_s[i]:9.1f}  {STATUS_NAMES[frame.status[i]]}"
    )


def _plain(name: str, width: int) -> str:
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= width else name[: width - 2] + ".."
