"""The zoo in one table, from the manifests of its policies."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...baselines.zoo import policies
from ...envs.errors import ConfigError
from ...eval.output import write_atomically
from ..folder import MANIFEST_FILE
from .card import CARD_FILE
from .compare import LEARNER
from .words import difference, number, percent, table, verdict

HEADERS = (
    *("scenario", "seeds", "blocks", "static", "best rival", "its reward", "`ppo`", "bound"),
    *("`ppo` minus the rival [95 %]", "verdict", "distance closed", "µs"),
)
EMPTY = "The zoo is empty."


def summary_table(zoo: Path, beside: Path) -> str:
    """Return a row for each policy of a zoo.

    Args:
        zoo: Its folder.
        beside: Folder of the document that the table stands in; links are relative to it.
    """
    rows = [
        _row(read_manifest(zoo / name), os.path.relpath(zoo / name / CARD_FILE, beside))
        for name in policies(zoo)
    ]
    return table(HEADERS, rows) if rows else EMPTY


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a shipped policy."""
    found: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    return found


def renew(document: Path, found: str | None, name: str = "zoo") -> None:
    """Renew the table of a name in a document; with no table only see that it has a place.

    Raises:
        ConfigError: The document cannot be read, or has no place for it.
    """
    try:
        before = document.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {document}: {error.strerror or error}") from error
    after = with_table(before, found or "", name)
    if found is not None and after != before:
        write_atomically(document, after)


def with_table(text: str, found: str, name: str = "zoo") -> str:
    """Return a document with the table of a name renewed.

    Raises:
        ConfigError: It has no place for one.
    """
    first, last = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ConfigError(f"the table's document must have the lines {first} and {last}")
    return f"{before}{begin}\n\n{found}\n\n{end}{after}"


def _row(manifest: Mapping[str, Any], card: str) -> list[str]:
    heldout = manifest["heldout"]
    figures, rival = heldout["allocators"], heldout["best_rival"]
    against = heldout["against"][rival]
    return [
        f"[{manifest['scenario']}]({Path(card).as_posix()})",
        *(str(len(manifest["seeds"])), str(heldout["blocks"])),
        *(number(figures["static"]["reward"]), f"`{rival}`", number(figures[rival]["reward"])),
        number(figures[LEARNER]["reward"]),
        number(heldout["bound"]["reward"] if heldout["bound"] else None),
        *(difference(against), verdict(against), percent(against["closed"])),
        number(figures[LEARNER]["decision_us"], 1),
    ]
