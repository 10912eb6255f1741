"""Replaying a submission from nothing: only what comes out the same is accepted."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ...baselines import allocator_class
from ...baselines.policy.files import read_policy
from ...envs import checks
from ...envs.errors import ConfigError, TraceError
from ...envs.loading import is_scenario_name
from ..engines import Workers
from ..results import Results, load_results
from ..runs.files import check_row
from ..runs.identity import identify
from ..runs.plan import planned
from ..runs.resume import differences
from ..runs.suites import Suites, load_suites
from ..runs.tables import LABELS, TIMES, Row, parse, read_whole
from ..session import evaluate
from ..suite import Suite, load_suite
from ..summary import REFERENCE
from . import archive
from .pack import FORMAT, LEFT_OUT

KEYS = (
    *("format", "title", "allocator", "parameters"),
    *("suite", "suite_sha256", "parts", "traces", "versions"),
)
# Sums may be taken in another order on another machine; no edit that small is worth making.
RELATIVE = 1e-9


@dataclass(frozen=True, eq=False)
class Verified:
    """A submission that has come out the same.

    Attributes:
        file: It.
        sha256: Of the file.
        content: Its `submission.json`.
        results: The replay: the allocator, under the name that it has in the submission, and
            static.
        policy_sha256: Of its weights; empty for a rule.
    """

    file: Path
    sha256: str
    content: Mapping[str, Any]
    results: Results
    policy_sha256: str

    @property
    def allocator(self) -> str:
        """The allocator's name in the submission."""
        return str(self.content["allocator"])


def verify(file: Path, suite: str | None = None, *, jobs: int = 1, quiet: bool = False) -> Verified:
    """Replay a submission.

    Args:
        file: As `submit` writes it.
        suite: As `load_suites` takes it, where the submission is on scenarios that are not shipped.
        jobs: Processes.
        quiet: Show no progress.

    Raises:
        ConfigError: It is refused; the message names the file and the reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _verify(file, suite, Path(folder), jobs, quiet)
        except (ConfigError, TraceError, TypeError) as error:
            message = str(error).replace(f"{folder}/", "")
            raise ConfigError(f"{file} is refused: {message}") from error


def _verify(file: Path, suite: str | None, folder: Path, jobs: int, quiet: bool) -> Verified:
    members = archive.read(file)
    content = _content(members[archive.SUBMISSION])
    spec, policy_sha256 = _allocator(content, members, folder)
    suites = _suites(content, suite)
    _check_suite(content, suites)
    claimed = _rows(content, members[archive.ROWS], folder)
    specs = [spec] if spec == REFERENCE else [spec, REFERENCE]
    out = folder / "replay"
    engine = Workers(jobs)
    evaluate(suites, specs, None, out, bound=False, engine=engine, quiet=quiet, series="none")
    played = _renamed(load_results(out), spec, str(content["allocator"]))
    for family, parameters in played.manifest["parameters"].items():
        _same(f"parameters.{family}", content["parameters"].get(family), parameters[spec])
    replayed = [row for row in played.rows if row["allocator"] == content["allocator"]]
    _check_rows(claimed, replayed)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return Verified(file, sha256, content, played, policy_sha256)


def _content(data: bytes) -> Mapping[str, Any]:
    try:
        content = checks.mapping(archive.SUBMISSION, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{archive.SUBMISSION} must be JSON: {error}") from error
    checks.keys(archive.SUBMISSION, content, KEYS, KEYS)
    if content["format"] != FORMAT:
        raise ConfigError(f"format must be {FORMAT!r}, got {content['format']!r}")
    for name in ("title", "allocator", "suite", "suite_sha256"):
        checks.text(name, content[name])
    checks.mapping("parameters", content["parameters"])
    checks.mapping("traces", content["traces"])
    return content


def _allocator(
    content: Mapping[str, Any], members: Mapping[str, bytes], folder: Path
) -> tuple[str, str]:
    """Return the spec to play, with the policy laid out in the folder, and the policy's sum."""
    name, _, text = str(content["allocator"]).partition(":")
    has_policy = archive.POLICY[0] in members
    if has_policy and text != "policy":
        raise ConfigError(
            f"allocator must be NAME:policy where a policy is packed, got {content['allocator']!r}"
        )
    if allocator_class(name).trained and text and not has_policy:
        raise ConfigError(f"allocator {name!r} must have its policy packed with it")
    if not has_policy:
        return str(content["allocator"]), ""
    (folder / "policy").mkdir()
    for member in archive.POLICY:
        if member in members:
            (folder / member).write_bytes(members[member])
    sha256 = read_policy(folder / "policy")[0].weights_sha256
    for family, parameters in content["parameters"].items():
        claimed = checks.mapping(f"parameters.{family}", parameters).get("sha256")
        if claimed != sha256:
            raise ConfigError(
                f"the policy must have the sha256 {claimed} that parameters.{family} names, got "
                f"{sha256}: it was swapped"
            )
    return f"{name}:{folder / 'policy'}", sha256


def _suites(content: Mapping[str, Any], suite: str | None) -> Suites:
    """Return the suite that the submission names, of scenarios and traces that are here."""
    known = {} if suite is None else {part.family: part for part in load_suites(suite).parts}
    parts = content["parts"]
    if not isinstance(parts, list):
        raise TypeError(f"parts must be a list, got {parts!r:.80}")
    return Suites(str(content["suite"]), tuple(_part(part, known) for part in parts))


def _part(part: object, known: Mapping[str, Suite]) -> Suite:
    values = checks.mapping("parts", part)
    family, split = checks.text("family", values.get("family")), values.get("split")
    if family in known:
        suite = known[family]
    elif is_scenario_name(family):
        suite = load_suite(f"{family}-{split}")
    else:
        raise ConfigError(f"family {family!r} is no shipped scenario; name its suite with --suite")
    episodes = {json.dumps(asdict(episode)): episode for episode in suite.episodes}
    chosen = []
    claims: Any = checks.listing("episodes", values.get("episodes"))
    for claimed in claims:
        key = json.dumps(claimed)
        if key not in episodes:
            raise ConfigError(f"{suite.name} has no episode {key:.200}")
        chosen.append(episodes[key])
    return replace(suite, episodes=tuple(chosen))


def _check_suite(content: Mapping[str, Any], suites: Suites) -> None:
    here = json.loads(json.dumps(identify(suites.parts)))
    for name in ("traces", "parts", "suite_sha256"):
        _same(name, content[name], here[name])


def _same(name: str, claimed: Any, here: Any) -> None:
    for where, theirs, ours in differences(claimed, here, name):
        raise ConfigError(f"{where} must be {ours!r:.100}, as it is here, got {theirs!r:.100}")


def _rows(content: Mapping[str, Any], data: bytes, folder: Path) -> list[Row]:
    path = folder / archive.ROWS
    path.write_bytes(data)
    rows = parse(path, *read_whole(path))
    spec = content["allocator"]
    parameters: Any = {part["family"]: {spec: {}} for part in content["parts"]}
    keys = planned({**content, "allocators": [spec], "parameters": parameters})
    if len(rows) != len(keys):
        raise ConfigError(f"{archive.ROWS} must hold {len(keys)} rows, got {len(rows)}")
    for number, (key, row) in enumerate(zip(keys, rows, strict=True), start=2):
        check_row(path, number, key, row)
    return rows


def _renamed(results: Results, spec: str, name: str) -> Results:
    """Return a replay with the allocator under its name in the submission, without folders."""
    rows = [
        r | {"allocator": name if r["allocator"] == spec else r["allocator"]} for r in results.rows
    ]
    specs = [name if one == spec else one for one in results.manifest["allocators"]]
    return replace(
        results, manifest={**results.manifest, "allocators": specs}, rows=rows, agents=[]
    )


def _check_rows(claimed: list[Row], replayed: list[Row]) -> None:
    for theirs, ours in zip(claimed, replayed, strict=True):
        columns = [column for column in ours if not column.startswith(LEFT_OUT)]
        if list(theirs) != columns:
            raise ConfigError(f"{archive.ROWS} must have the columns {', '.join(columns)}")
        for column in columns:
            if column not in TIMES and not _equal(column, theirs[column], ours[column]):
                raise ConfigError(
                    f"{column} of {ours['family']}, {ours['block']} must be {ours[column]!r}, as "
                    f"it comes out here, got {theirs[column]!r}: the row does not reproduce"
                )


def _equal(column: str, one: Any, other: Any) -> bool:
    if column in LABELS:
        return bool(one == other)
    both_unknown = math.isnan(one) and math.isnan(other)
    return both_unknown or math.isclose(one, other, rel_tol=RELATIVE, abs_tol=RELATIVE)
