"""One policy of the zoo: the best seed on validation, judged on held-out tapes, written down."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...baselines.learned import load_policy
from ...baselines.policy.files import HEADER_FILE, WEIGHTS_FILE
from ...eval.engines import Workers
from ...eval.output import plain, to_json, write_atomically
from ...eval.summary import summarise
from ..folder import MANIFEST_FILE, windows
from ..seeds import Seed
from .card import CARD_FILE, CURVES_FILE, to_markdown
from .compare import compare
from .judge import play_together
from .picture import draw
from .plan import Entry


def build(entry: Entry, seeds: Sequence[Seed], jobs: int, quiet: bool = False) -> dict[str, Any]:
    """Choose a seed, play all of them beside the rivals, write the folder, return its manifest.

    Args:
        entry: What is built; a folder that is there already is replaced.
        seeds: Its training runs, finished.
        jobs: Episodes that are played at the same time.
        quiet: Show no progress.

    Raises:
        SolverError: There is no bound for a tape.
    """
    best = choose(seeds)
    rivals, refused = entry.rivals()
    with Workers(jobs) as workers:
        validation = _validation(entry, rivals, workers, quiet)
        heldout = _heldout(entry, seeds, best, rivals, workers, quiet)
    manifest: dict[str, Any] = plain(
        {
            **{"scenario": entry.scenario, "command": entry.command, "remarks": entry.remarks},
            **{"shipped_seed": best.number, "seeds": [_described(seed) for seed in seeds]},
            **{"validation": validation, "heldout": heldout, "refused": refused},
            "data": best.manifest["data"] | {"heldout": heldout.pop("data")},
            **{key: best.manifest[key] for key in ("config", "traces", "versions", "commit")},
        }
    )
    _write(entry.folder, best.folder, manifest, draw(entry.scenario, seeds, best, validation))
    return manifest


def choose(seeds: Sequence[Seed]) -> Seed:
    """Return the seed that is best on the validation split, the first of equals."""
    return max(seeds, key=lambda seed: seed.reward)


def _validation(entry: Entry, rivals: list[str], workers: Workers, quiet: bool) -> dict[str, Any]:
    suite = entry.suite("validation")
    rows = play_together(suite, {name: name for name in rivals}, workers, quiet=quiet)
    found = summarise(rows)["allocators"]
    rewards = {name: found[name]["reward"] for name in rivals}
    best = max(rivals, key=lambda name: rewards[name])
    return {"episodes": len(suite.episodes), "rivals": rewards, "best_rival": best}


def _heldout(
    entry: Entry,
    seeds: Sequence[Seed],
    best: Seed,
    rivals: list[str],
    workers: Workers,
    quiet: bool,
) -> dict[str, Any]:
    suite, bound = entry.suite("heldout"), entry.options.bound
    own = {_label(seed): f"learned:{seed.folder}" for seed in seeds}
    specs = {**{name: name for name in rivals}, **own}
    rows = play_together(suite, specs, workers, bound=bound, quiet=quiet)
    found = compare(rows, list(own), rivals, _label(best))
    return {**found, "data": windows("heldout", list(best.manifest["traces"]))}


def _label(seed: Seed) -> str:
    return f"seed {seed.number}"


def _described(seed: Seed) -> dict[str, Any]:
    manifest = seed.manifest
    return {
        "seed": seed.number,
        "validation_reward": seed.reward,
        "kept_at": manifest["best"]["timesteps"],
        **{key: manifest[key] for key in ("timesteps", "wall_s", "status")},
        "resumed_at": manifest.get("resumed_at", []),
        "sha256": load_policy(seed.folder).header.weights_sha256,
    }


def _write(folder: Path, run: Path, manifest: dict[str, Any], curves: bytes) -> None:
    """Write the folder whole beside its place, then put it there."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name in (HEADER_FILE, WEIGHTS_FILE):
        write_atomically(new / name, (run / name).read_bytes())
    write_atomically(new / CURVES_FILE, curves)
    write_atomically(new / CARD_FILE, to_markdown(manifest))
    write_atomically(new / MANIFEST_FILE, to_json(manifest))
    if folder.exists():
        shutil.rmtree(folder)
    new.replace(folder)
