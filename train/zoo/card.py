"""The model card of a shipped policy, from its manifest alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ...eval.report import reward_formula
from .compare import LEARNER
from .words import difference, number, percent, table, verdict

CARD_FILE, CURVES_FILE = "card.md", "curves.png"
MOST_LOSSES = 20
COLUMNS = (
    *(("reward", 3), ("latency_term", 3), ("cost_term", 3), ("idle_term", 3), ("score", 2)),
    *(("little_latency_s", 2), ("cost_usd", 3), ("utilization", 3), ("decision_us", 1)),
)
HEADERS = (
    *("allocator", "reward", "latency", "cost", "idle", "score", "Little [s]", "$", "utilization"),
    *("µs", "`ppo` minus it [95 %]"),
)


def to_markdown(manifest: Mapping[str, Any]) -> str:
    """Return the card."""
    parts = (_head, _result, _failures, _seeds, _data, _remarks, _making)
    return "\n\n".join(text for part in parts for text in part(manifest)) + "\n"


def _head(manifest: Mapping[str, Any]) -> Iterator[str]:
    name, config = manifest["scenario"], manifest["config"]
    yield f"# PPO on `{name}`"
    what = f"`{config['network']}` network, action `{config['action']}`"
    base = f" to `{config['base']}`" if config["base"] else ""
    yield (
        f"A policy for scenario `{name}`: {what}{base}, seed {manifest['shipped_seed']} of "
        f"{len(manifest['seeds'])}, chosen by its validation reward alone. What is shipped plays "
        "as `ppo`, any other folder as `learned:DIR`."
    )


def _result(manifest: Mapping[str, Any]) -> Iterator[str]:
    heldout = manifest["heldout"]
    yield "## Held-out tapes"
    yield (
        f"{heldout['episodes']} episodes in {heldout['blocks']} independent blocks, the same tapes "
        f"for all; {reward_formula(heldout)}, mean per interval. `{LEARNER}` is the mean over "
        f"{len(manifest['seeds'])} training seeds. {_method(manifest)} µs is the time of a "
        "decision as it was played, beside whatever else the machine did."
    )
    for rival, how in _best_rivals(manifest).items():
        yield f"- {_verdict(heldout['against'][rival], rival, how)}"
    yield table(HEADERS, list(_lines(heldout)))


def _method(manifest: Mapping[str, Any]) -> str:
    found = next(iter(manifest["heldout"]["against"].values()))
    if "indicative" in found["note"]:
        return (
            "Intervals are Student's over the blocks, each with its mean over the seeds; with so "
            "few blocks they are indicative."
        )
    note = f" ({found['note']})" if found["note"] else ""
    return (
        "Intervals are Student's over blocks and seeds, both random, with Satterthwaite's degrees "
        f"of freedom{note}."
    )


def _best_rivals(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the best rivals with what they are best on: two of them, or one twice."""
    chosen, hindsight = manifest["validation"]["best_rival"], manifest["heldout"]["best_rival"]
    if chosen == hindsight:
        return {chosen: "best on validation and on held-out tapes"}
    return {chosen: "best on validation", hindsight: "best on held-out tapes, with hindsight"}


def _verdict(found: Mapping[str, Any], rival: str, how: str) -> str:
    closed = found["closed"]
    distance = "" if closed is None else f", {percent(closed)} of its distance to the bound"
    return (
        f"Against `{rival}` ({how}): **{verdict(found)}**, {difference(found)}{distance}. The "
        f"shipped seed alone: {difference(found['shipped'])}, over blocks."
    )


def _lines(heldout: Mapping[str, Any]) -> Iterator[list[str]]:
    ordered = sorted(heldout["allocators"].items(), key=lambda item: -(item[1]["reward"] or 0.0))
    for name, figures in ordered:
        against = heldout["against"].get(name)
        last = difference(against) if against else ""
        yield [f"`{name}`", *(number(figures[key], digits) for key, digits in COLUMNS), last]
    if heldout["bound"]:
        own = {**heldout["bound"], "score": 1.0}
        cells = [number(own.get(key), digits) for key, digits in COLUMNS]
        yield ["*clairvoyant bound*", *cells, ""]


def _failures(manifest: Mapping[str, Any]) -> Iterator[str]:
    heldout, lost = manifest["heldout"], manifest["heldout"]["losses"]
    yield "## Where it fails"
    behind = [r for r, found in heldout["against"].items() if found["mean"] < 0]
    if behind:
        yield f"Behind in the mean: {', '.join(f'`{name}`' for name in behind)}."
    rival = heldout["best_rival"]
    if not lost:
        yield f"No held-out block on which the seeds' mean is below `{rival}`."
        return
    yield (
        f"Blocks on which the seeds' mean is below `{rival}`: {len(lost)} of {heldout['blocks']}"
        + (f", the worst {MOST_LOSSES}:" if len(lost) > MOST_LOSSES else ":")
    )
    rows = [
        [loss["block"], number(loss["difference"], 4), str(loss["seeds_behind"])]
        for loss in lost[:MOST_LOSSES]
    ]
    yield table(("block", "difference", "seeds behind"), rows)


def _seeds(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## Training"
    yield f"![Validation reward of every seed over training]({CURVES_FILE})"
    figures = manifest["heldout"]["allocators"]
    rows = []
    for seed in manifest["seeds"]:
        mark = " (shipped)" if seed["seed"] == manifest["shipped_seed"] else ""
        rows.append(
            [
                f"{seed['seed']}{mark}",
                number(seed["validation_reward"]),
                f"{seed['kept_at']:,}",
                f"{seed['timesteps']:,}",
                number(seed["wall_s"] / 60, 1),
                number(figures[f"seed {seed['seed']}"]["reward"]),
            ]
        )
    headers = ("seed", "validation reward", "kept at", "timesteps", "minutes", "held-out reward")
    yield table(headers, rows)
    validation = manifest["validation"]
    ordered = sorted(validation["rivals"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"`{name}` {number(reward)}" for name, reward in ordered)
    yield f"On the same {validation['episodes']} validation episodes: {listed}."


def _data(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## Data"
    rows = []
    for split, data in manifest["data"].items():
        low, high = data["seeds"]
        cut = [f"{name}: {a:,.0f} to {b:,.0f} s" for name, (a, b) in data["windows_s"].items()]
        rows.append([split, f"{low:,} to {high:,}", "; ".join(cut) or "–"])
    yield table(("split", "seeds of episodes", "windows of traces"), rows)
    for name, total in manifest["traces"].items():
        yield f"- Trace `{name}`, sha256 `{total}`"


def _remarks(manifest: Mapping[str, Any]) -> Iterator[str]:
    if manifest["remarks"]:
        yield "## Remarks"
        yield str(manifest["remarks"])


def _making(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## How it was made"
    yield f"```sh\n{manifest['command']}\n```"
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    yield f"Commit {manifest['commit'] or 'unknown'}; {versions}."
    for name, why in manifest["refused"].items():
        yield f"- `{name}` did not play: {why}"
    yield f"```yaml\n{yaml.safe_dump(manifest['config'], sort_keys=False).strip()}\n```"
