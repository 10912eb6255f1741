"""Submissions: packed, replayed, and refused where anything in them was changed."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.eval.session import evaluate
from slicegym.eval.submissions import archive
from slicegym.eval.submissions.pack import submit
from slicegym.eval.submissions.verify import verify

from .policies import random_tensors, write_policy
from .test_eval_cli import SCENARIO

Members = dict[str, bytes]
SEEN = {"data": {"train": {"split": "train", "seeds": [0, 1_000_000], "windows_s": {}}}}


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of `paper`, and submissions of a rule and of a policy."""
    folder = tmp_path_factory.mktemp("submissions")
    policy = write_policy(folder / "mine", random_tensors(4), n_agents=4)
    (policy / "manifest.json").write_text(json.dumps(SEEN | {"command": ["/home/me/secret"]}))
    specs = ["static", "demand", f"learned:{policy}"]
    evaluate("paper-heldout", specs, None, folder / "run", bound=False, quiet=True)
    submit(folder / "run", "demand", folder / "demand.zip")
    submit(folder / "run", specs[2], folder / "policy.zip", "My policy | <b>")
    return folder


def members_of(path: Path) -> Members:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def doctored(path: Path, out: Path, change: Callable[[Members], None]) -> Path:
    members = members_of(path)
    change(members)
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out


def edit(**changes: Any) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        content = json.loads(members["submission.json"])
        members["submission.json"] = json.dumps(content | changes).encode()

    return change


def replace(name: str, pattern: bytes, by: bytes) -> Callable[[Members], None]:
    def change(members: Members) -> None:
        members[name], n = re.subn(pattern, by, members[name], count=1)
        assert n == 1

    return change


def test_what_is_packed_comes_out_the_same(submissions: Path, cli: Any) -> None:
    for name, spec in (("demand", "demand"), ("policy", "learned:policy")):
        status, out, err = cli("verify", submissions / f"{name}.zip", "--jobs", 1, "--json", "-")
        content = json.loads(out)
        assert (status, err, content["accepted"], content["rows"]) == (0, "", True, 1)
        assert content["allocator"] == spec
    weights = members_of(submissions / "policy.zip")["policy/policy.safetensors"]
    assert content["policy_sha256"] == hashlib.sha256(weights).hexdigest()


def test_a_file_holds_no_folder_and_is_the_same_twice(submissions: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    submit(submissions / "run", "demand", again)
    assert again.read_bytes() == (submissions / "demand.zip").read_bytes()
    members = members_of(submissions / "policy.zip")
    assert set(members) == {"submission.json", "rows.csv", *archive.POLICY}
    assert not any(b"/home" in data or b"/tmp" in data for data in members.values())
    assert json.loads(members["policy/manifest.json"]) == SEEN


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            replace("rows.csv", rb"-\d+\.\d+", b"-1.0"),
            "the row does not reproduce",
        ),
        (replace("rows.csv", rb"paper,demand", b"paper,fair"), "must be of"),
        (replace("rows.csv", rb"reward,", b"prize,"), "must have the columns"),
        (replace("rows.csv", rb"\n[^\n]*\n$", b"\n"), "must hold 1 rows, got 0"),
        (replace("rows.csv", rb"[\d.]+\n$", b"1,2\n"), "cells in line 2"),
        (edit(traces={"azure_conv": "0" * 64}), "traces.azure_conv must be None"),
        (edit(suite_sha256="0" * 64), "suite_sha256 must be"),
        (edit(allocator="fair"), "must be of"),
        (edit(allocator="learned:/etc"), "must have its policy packed"),
        (edit(allocator="nobody"), "unknown allocator 'nobody'"),
        (edit(parameters={"paper": {"drain_s": 6.0}}), "parameters.paper"),
        (edit(parts=[{"family": "../../etc/passwd", "split": "train"}]), "no shipped scenario"),
        (edit(parts=[{"family": "paper", "split": "heldout", "episodes": [{}]}]), "no episode"),
        (edit(parts=[]), "must have at least one part"),
        (edit(parts=3), "parts must be a list"),
        (edit(format="slicegym-submission-9"), "format must be"),
        (edit(more=1), "unknown key 'more'"),
        (lambda m: m.update({"submission.json": b"{"}), "must be JSON"),
        (lambda m: m.pop("rows.csv"), "lacks the member 'rows.csv'"),
        (lambda m: m.update({"setup.py": b""}), "got a member 'setup.py'"),
        (lambda m: m.update({"../rows.csv": b""}), r"got a member '\.\./rows.csv'"),
        (lambda m: m.update({"policy/policy.json": b"{}"}), "lacks the member 'policy/policy.saf"),
    ],
)
def test_a_doctored_submission_is_refused_with_the_reason(
    submissions: Path, tmp_path: Path, change: Callable[[Members], None], reason: str
) -> None:
    file = doctored(submissions / "demand.zip", tmp_path / "doctored.zip", change)
    with pytest.raises(ConfigError, match=f"doctored.zip is refused: .*{reason}"):
        verify(file, quiet=True)


def test_another_policy_is_refused(submissions: Path, tmp_path: Path) -> None:
    other = write_policy(tmp_path / "other", random_tensors(4, seed=1), n_agents=4)
    header, weights = (
        (other / name).read_bytes() for name in ("policy.json", "policy.safetensors")
    )
    sha256 = json.loads(header)["weights_sha256"]

    def weights_alone(members: Members) -> None:
        members["policy/policy.safetensors"] = weights

    def both(members: Members) -> None:
        members["policy/policy.safetensors"], members["policy/policy.json"] = weights, header

    def all_of_it(members: Members) -> None:
        both(members)
        content = json.loads(members["submission.json"])
        content["parameters"]["paper"]["sha256"] = sha256
        members["submission.json"] = json.dumps(content).encode()

    for change, reason in (
        (weights_alone, "one of the two was cut or changed"),
        (both, "it was swapped"),
        (all_of_it, "the row does not reproduce"),
    ):
        file = doctored(submissions / "policy.zip", tmp_path / "swapped.zip", change)
        with pytest.raises(ConfigError, match=reason):
            verify(file, quiet=True)


def test_a_policy_that_saw_heldout_data_is_refused(submissions: Path, tmp_path: Path) -> None:
    def change(members: Members) -> None:
        seen = json.dumps(SEEN).replace("[0, 1000000]", "[0, 3000000]")
        members["policy/manifest.json"] = seen.encode()

    file = doctored(submissions / "policy.zip", tmp_path / "seen.zip", change)
    with pytest.raises(ConfigError, match="must not have learned from held-out data"):
        verify(file, quiet=True)


def test_files_that_are_none_are_refused(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Any
) -> None:
    whole = (submissions / "demand.zip").read_bytes()
    file = tmp_path / "file.zip"
    for data in (b"", b"text", whole[: len(whole) // 2]):
        file.write_bytes(data)
        assert "must be a zip that" in refuse("verify", file)
    broken = bytearray(whole)
    broken[80] ^= 0xFF
    file.write_bytes(broken)
    assert "is refused" in refuse("verify", file)
    assert "cannot read it" in refuse("verify", tmp_path / "nowhere.zip")
    with zipfile.ZipFile(file, "w") as twice:
        twice.writestr("rows.csv", b"")
        with pytest.warns(UserWarning, match="Duplicate"):
            twice.writestr("rows.csv", b"")
    assert "'rows.csv' twice" in refuse("verify", file)
    monkeypatch.setattr(archive, "MOST_BYTES", 10)
    file.write_bytes(whole)
    assert "at most 10 bytes" in refuse("verify", file)


def test_a_bomb_is_not_unpacked(
    submissions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(archive.LIMITS, "rows.csv", 1000)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("submission.json", b"{}")
        file.writestr("rows.csv", bytes(50_000_000))
    assert len(target.getvalue()) < 100_000
    (tmp_path / "bomb.zip").write_bytes(target.getvalue())
    with pytest.raises(ConfigError, match=r"'rows\.csv' must unpack to at most 1000 bytes"):
        verify(tmp_path / "bomb.zip")


def test_a_suite_of_ones_own_is_named(tmp_path: Path, refuse: Any, cli: Any) -> None:
    (tmp_path / "small.yaml").write_text(SCENARIO)
    suite = f"{tmp_path / 'small.yaml'}-train"
    evaluate(suite, ["demand"], 2, tmp_path / "run", bound=False, quiet=True)
    file = tmp_path / "own.zip"
    submit(tmp_path / "run", "demand", file)
    assert "no shipped scenario; name its suite with --suite" in refuse("verify", file)
    assert cli("verify", file, "--suite", suite, "--jobs", 1)[0] == 0
    (tmp_path / "small.yaml").write_text(SCENARIO.replace("rate: 1}", "rate: 1.5}"))
    assert "rate must be 1.5" in refuse("verify", file, "--suite", suite)


def test_what_cannot_be_packed(submissions: Path, tmp_path: Path, refuse: Any) -> None:
    run, out = submissions / "run", tmp_path / "x.zip"
    assert "did you mean 'demand'" in refuse("submit", run, "--allocator", "demnd", "--out", out)
    line = refuse("submit", run, "--allocator", "demand", "--out", submissions / "demand.zip")
    assert "--out must be a new file" in line
    line = refuse("submit", run, "--allocator", "demand", "--out", out, "--title", "x" * 81)
    assert "--title must be at most 80" in line
    assert "holds no manifest.json" in refuse("submit", tmp_path, "--allocator", "a", "--out", out)
    assert "does not exist" in refuse("submit", run, "--allocator", "a", "--out", out / "y.zip")
    policy = submissions / "mine"
    before = {name: (policy / name).read_bytes() for name in ("policy.json", "policy.safetensors")}
    write_policy(policy, random_tensors(4, seed=2), n_agents=4)
    line = refuse("submit", run, "--allocator", f"learned:{policy}", "--out", out)
    assert "must be the one that played" in line
    for name, data in before.items():
        (policy / name).write_bytes(data)
    assert not out.exists()


def test_the_leaderboard_ranks_what_reproduces(submissions: Path, tmp_path: Path, cli: Any) -> None:
    bad = doctored(
        submissions / "demand.zip", tmp_path / "bad.zip", replace("rows.csv", rb"-\d\.", b"-0.")
    )
    page = tmp_path / "LEADERBOARD.md"
    files = [submissions / "policy.zip", bad, submissions / "demand.zip"]
    status, _, err = cli("leaderboard", *files, "--markdown", page, "--jobs", 1)
    assert status == 1
    assert err.startswith(f"{bad} is refused: reward of paper")
    lines = page.read_text().splitlines()
    assert "## paper-heldout" in lines
    ranked = [line.split(" | ") for line in lines if re.match(r"\| \d", line)]
    assert [line[2] for line in ranked] == ["`demand`", "`learned:policy`"]
    assert ranked[1][1] == "My policy ? ?b?"
    rewards = [float(line[3]) for line in ranked]
    assert rewards == sorted(rewards, reverse=True)
    rows = evaluate("paper-heldout", ["demand", "static"], bound=False, quiet=True)["rows"]
    assert rewards[0] == pytest.approx(rows[0]["reward"], abs=1e-4)
    assert float(ranked[0][4]) == pytest.approx(rows[0]["reward"] - rows[1]["reward"], abs=1e-4)
