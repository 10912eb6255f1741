"""Suites of several families: what may be in them, and what identifies them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import scenario_names
from slicegym.envs.traces import load_spec
from slicegym.eval.runs.identity import identify
from slicegym.eval.runs.plan import make_manifest, planned
from slicegym.eval.runs.suites import load_suites, of_families
from slicegym.eval.session import evaluate

from .policies import random_tensors, write_policy
from .test_eval_cli import SCENARIO

TWO = """
name: mine
description: two families
parts:
  - {scenario: paper, split: heldout}
  - {scenario: small.yaml, split: train, episodes: [2, 0]}
"""
TABLE = """
agents: [{name: a, throughput: 4}, {name: b, throughput: 2}]
horizon_s: 20
workload: {kind: table, trace: calls.csv}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SCENARIO)
    (tmp_path / "mine.yaml").write_text(TWO)
    return tmp_path


def test_a_file_names_parts_with_their_episodes(folder: Path) -> None:
    suites = load_suites(str(folder / "mine.yaml"))
    assert suites.name == "mine"
    assert [(part.family, part.split) for part in suites.parts] == [
        ("paper", "heldout"), ("small", "train"),
    ]  # fmt: skip
    assert [episode.seed for episode in suites.parts[1].episodes] == [2, 0]
    cells = planned(make_manifest(suites, ["demand", "static"], bound=False))
    assert [(key.family, key.seed, key.allocator, key.file) for key in cells] == [
        ("paper", 2_000_000, "demand", "paper-000-000.npz"),
        ("paper", 2_000_000, "static", "paper-000-001.npz"),
        ("small", 2, "demand", "small-000-000.npz"),
        ("small", 2, "static", "small-000-001.npz"),
        ("small", 0, "demand", "small-001-000.npz"),
        ("small", 0, "static", "small-001-001.npz"),
    ]


def test_a_split_is_every_shipped_family() -> None:
    suites = load_suites("heldout")
    assert {part.family for part in suites.parts} | set(suites.absent) == set(scenario_names())
    assert {part.split for part in suites.parts} == {"heldout"}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("name: x", ConfigError, "lacks the required key 'parts'"),
        ("parts: []", ConfigError, "must have at least one part"),
        ("parts: 3", TypeError, "parts must be a list"),
        ("parts: [3]", TypeError, r"parts\[0\] must be a mapping"),
        ("part: []", ConfigError, r"unknown key 'part' \(did you mean 'parts'\?\)"),
        ("name: 3\nparts: []", TypeError, "name must be a string"),
        ("parts: [{scenario: paper}]", ConfigError, "lacks the required key 'split'"),
        ("parts: [{scenario: paper, split: test}]", ConfigError, "split must be one of train"),
        ("parts: [{scenario: papre, split: train}]", ConfigError, "did you mean 'paper-"),
        ("parts: [{scenario: nowhere.yaml, split: train}]", ConfigError, "cannot read"),
        ("parts: [{scenario: paper, split: train, seeds: 3}]", ConfigError, "unknown key 'seeds'"),
        (2 * "parts: [{scenario: paper, split: train}]\n", ConfigError, "'parts' stands twice"),
        (
            "parts: [{scenario: paper, split: train}, {scenario: paper, split: heldout}]",
            ConfigError,
            "families must differ from each other, got 'paper' twice",
        ),
        *(
            (f"parts: [{{scenario: bursty, split: train, episodes: {value}}}]", error, message)
            for value, error, message in (
                ("0", ConfigError, r"episodes must lie in \[1, 16\], got 0"),
                ("17", ConfigError, r"episodes must lie in \[1, 16\], got 17"),
                ("2.5", TypeError, "episodes must be a whole number"),
                ("[]", ConfigError, "at least one index"),
                ("[16]", ConfigError, r"episodes\[0\] must lie in \[0, 15\]"),
                ("[1, -1]", ConfigError, r"episodes\[1\] must lie in \[0, 15\]"),
                ("[1, 1]", ConfigError, r"must differ from each other, got \[1, 1\]"),
                ("[a]", TypeError, r"episodes\[0\] must be a whole number"),
            )
        ),
    ],
)
def test_bad_files(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(error, match=message):
        load_suites(str(tmp_path / "bad.yaml"))


def test_names_that_are_none(refuse: Any, folder: Path) -> None:
    assert "unknown suite 'bursty'" in refuse("run", "--suite", "bursty")
    assert "cannot read" in refuse("run", "--suite", folder / "nowhere.yaml")
    line = refuse("run", "--suite", "paper-train", "--series", "some", "--out", folder / "out")
    assert "--series must be one of first, all, none" in line
    assert not (folder / "out").exists()


def test_the_sum_says_what_is_played_and_not_where_it_lies(folder: Path, tmp_path: Path) -> None:
    def of(path: Path) -> str:
        return str(identify(load_suites(str(path / "mine.yaml")).parts)["suite_sha256"])

    first = of(folder)
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert of(tmp_path / "elsewhere") == first
    (folder / "mine.yaml").write_text(TWO.replace("name: mine", "name: other"))
    assert of(folder) == first
    (folder / "mine.yaml").write_text(TWO.replace("[2, 0]", "[0, 2]"))
    others = {of(folder)}
    (folder / "mine.yaml").write_text(TWO.replace("train", "validation"))
    others.add(of(folder))
    (folder / "mine.yaml").write_text(TWO)
    (folder / "small.yaml").write_text(SCENARIO.replace("priority: 2", "priority: 3"))
    others.add(of(folder))
    assert len(others | {first}) == 4


def test_a_trace_of_ones_own_counts_by_content_and_leaks_no_folder(tmp_path: Path) -> None:
    def of(folder: Path, work: int) -> dict[str, Any]:
        folder.mkdir(exist_ok=True)
        (folder / "mine.yaml").write_text(TABLE)
        calls = "".join(f"{t},{'ab'[t % 2]},{work}\n" for t in range(200))
        (folder / "calls.csv").write_text("release_s,agent,work\n" + calls)
        return identify(load_suites(f"{folder / 'mine.yaml'}-heldout").parts)

    one, other = of(tmp_path / "one", 1), of(tmp_path / "other", 1)
    assert one == other
    assert str(tmp_path) not in json.dumps(one)
    assert list(one["traces"]) == ["calls.csv"]
    # 60, 20 and 20 % of the time from 0 to 199 s.
    assert one["parts"][0]["windows_s"]["calls.csv"] == pytest.approx([159.2, 199.0])
    changed = of(tmp_path / "one", 2)
    assert changed["suite_sha256"] != other["suite_sha256"]


def test_who_cannot_play_a_family_is_named_and_who_can_play_none_is_refused(folder: Path) -> None:
    (folder / "small.yaml").write_text(SCENARIO.replace("min_share: 0.2", "min_share: 1.5"))
    spec = "demand:guarantee=true"
    out = folder / "out"
    content = evaluate(
        str(folder / "mine.yaml"), ["static", spec], None, out, bound=False, quiet=True
    )
    assert list(content["families"]["small"]["allocators"]) == ["static"]
    assert list(content["families"]["paper"]["allocators"]) == ["static", spec]
    skipped = json.loads((out / "manifest.json").read_text())["skipped"]
    assert list(skipped) == [f"{spec} on small"]
    assert json.loads((out / "summary.json").read_text())["skipped"] == skipped
    alone = of_families([str(folder / "small.yaml")], "train")
    with pytest.raises(ConfigError, match="min_share of all agents"):
        evaluate(alone, [spec], bound=False, quiet=True)


WINDOW = load_spec("azure_conv").window("heldout")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"train": {"split": "heldout"}}, "the split 'heldout' under data.train"),
        ({"validation": {"split": "heldout"}}, "under data.validation"),
        ({"train": {"seeds": [1_999_999, 2_000_001]}}, "those from 2000000 on are held out"),
        (
            {"train": {"windows_s": {"azure_conv": [0.0, WINDOW[0] + 1]}}},
            "the window .* of azure_conv",
        ),
        ({"train": {"windows_s": {"azure_conv": "all"}}}, "must be the manifest of a training run"),
        ({"train": 3}, "data.train must be a mapping"),
        (3, "data must be a mapping"),
    ],
)
def test_a_policy_that_names_heldout_data_is_refused(
    tmp_path: Path, data: Any, message: str
) -> None:
    policy = write_policy(tmp_path / "policy", random_tensors(4), n_agents=4)
    (policy / "manifest.json").write_text(json.dumps({"data": data}))
    for name in ("learned", "ppo"):
        with pytest.raises(ConfigError, match=message):
            evaluate("paper-train", [f"{name}:{policy}"], bound=False, quiet=True)


def test_a_policy_that_names_none_of_it_plays(tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy", random_tensors(4), n_agents=4)
    data = {
        "train": {"split": "train", "seeds": [0, 1_000_000], "windows_s": {"gone.csv": [0, 9]}},
        "validation": {
            "split": "validation",
            "seeds": [1_000_000, 2_000_000],
            "windows_s": {"azure_conv": [0.0, WINDOW[0]]},
        },
        "heldout": {"split": "heldout"},  # what it was judged by, and not what it learned from
    }
    manifest = policy / "manifest.json"
    for text in (None, "{}", json.dumps({"data": data})):
        if text is not None:
            manifest.write_text(text)
        rows = evaluate("paper-train", [f"learned:{policy}"], bound=False, quiet=True)["rows"]
        assert len(rows) == 1
    manifest.write_text("{")
    with pytest.raises(ConfigError, match="must be the manifest of a training run"):
        evaluate("paper-train", [f"learned:{policy}"], bound=False, quiet=True)
