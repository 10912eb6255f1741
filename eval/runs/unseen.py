"""A policy is judged by what it has not seen: one that learned from held-out data is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ...envs import checks
from ...envs.errors import ConfigError, TraceError
from ...envs.traces import load_spec
from ...envs.workloads.base import SEEDS

MANIFEST_FILE = "manifest.json"
HELDOUT = "heldout"
# What a manifest's `data` says of training and of choosing a model; figures may be held-out.
LEARNED_FROM = ("train", "validation")


def check_unseen(spec: str, folder: Path | Traversable | None) -> None:
    """Refuse a policy whose manifest names held-out data as what it was trained or chosen on.

    Args:
        spec: The allocator, for the message.
        folder: Where its policy was read; None for a rule. A policy without a manifest is played:
            there is nothing to hold against it.

    Raises:
        ConfigError: It names such data, or the manifest cannot be read.
    """
    if folder is None or not (folder / MANIFEST_FILE).is_file():
        return
    path = folder / MANIFEST_FILE
    try:
        content = checks.mapping(str(path), json.loads(path.read_text(encoding="utf-8")))
        data = checks.mapping(f"{path}: data", content.get("data", {}))
        for use in LEARNED_FROM:
            where = checks.mapping(f"{path}: data.{use}", data.get(use, {}))
            for what in _heldout(where):
                raise ConfigError(
                    f"allocator {spec!r} must not have learned from held-out data, and {path} "
                    f"names {what} under data.{use}; train it on the training split"
                )
    except ConfigError:
        raise
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{path} must be the manifest of a training run: {error}; copy it again"
        ) from error


def _heldout(where: Mapping[str, Any]) -> Iterator[str]:
    if where.get("split") == HELDOUT:
        yield "the split 'heldout'"
    if _overlap(where.get("seeds", [0, 0]), SEEDS[HELDOUT]):
        yield f"seeds in {where['seeds']}, and those from {SEEDS[HELDOUT][0]} on are held out"
    for trace, window in checks.mapping("windows_s", where.get("windows_s", {})).items():
        try:
            heldout = load_spec(trace).window(HELDOUT)
        except (ConfigError, TraceError):
            continue  # nobody's here: no suite on this machine can play it
        if _overlap(window, heldout):
            yield f"the window {window} s of {trace}, of which {list(heldout)} s is held out"


def _overlap(one: Any, other: tuple[float, float]) -> bool:
    start, end = (float(edge) for edge in one)
    return max(start, other[0]) < min(end, other[1])
