"""Making the zoo: what is chosen, compared and written, and that a kill costs little."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from slicegym.baselines import make_allocator
from slicegym.baselines.learned import load_policy
from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import load_scenario
from slicegym.eval.engines import Workers
from slicegym.eval.session import evaluate
from slicegym.train import cli
from slicegym.train import seeds as runs
from slicegym.train.folder import read_curve
from slicegym.train.zoo import plan, summary
from slicegym.train.zoo.check import chosen, replay
from slicegym.train.zoo.plan import Options

from .test_zoo import FILES
from .training import SCENARIO, TINY

ROOT = Path(__file__).parents[1]
RIVALS = "demand,processor_sharing"
DOCUMENT = "# Mine\n\n<!-- zoo: begin -->\n<!-- zoo: end -->\n\nThe end.\n"


def write_inputs(folder):
    """Write a scenario, a configuration that trains on it, and a document for the table."""
    (folder / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    values = {**TINY, "net_arch": [8], "baselines": [], "remarks": "Nothing learned in a second."}
    (folder / "run.yaml").write_text(yaml.safe_dump({"scenario": "small.yaml", **values}))
    (folder / "zoo.md").write_text(DOCUMENT)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder that holds what it needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
    write_inputs(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["zoo", *map(str, arguments)])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


def small(*more, seeds=2):
    options = ("--seeds", seeds, "--jobs", 1, "--rivals", RIVALS, "--out", "zoo")
    return ("run.yaml", *options, *more)


class TestAll:
    def test_it_ships_the_best_seed_with_card_and_table(self, run, tmp_path):
        status, _, err = run(*small("--table", "zoo.md"))
        assert (status, err) == (0, "")
        folder = tmp_path / "zoo" / "small"
        assert {path.name for path in folder.iterdir()} == FILES
        assert [path.name for path in (tmp_path / "zoo").iterdir()] == ["small"]
        manifest = json.loads((folder / "manifest.json").read_text())

        by_seed = {}
        for seed in (0, 1):
            own = json.loads((tmp_path / f"runs/zoo/small/{seed}/manifest.json").read_text())
            by_seed[own["best"]["reward"]] = seed
        assert manifest["shipped_seed"] == by_seed[max(by_seed)]
        chosen = tmp_path / f"runs/zoo/small/{manifest['shipped_seed']}"
        sums = [load_policy(path).header.weights_sha256 for path in (folder, chosen)]
        assert sums[0] == sums[1]
        assert manifest["config"]["seed"] == manifest["shipped_seed"]

        self.check_heldout(manifest, tmp_path)
        self.check_card((folder / "card.md").read_text(), manifest)
        assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
        document = (tmp_path / "zoo.md").read_text()
        assert document.startswith("# Mine\n\n")
        assert document.endswith("\n\nThe end.\n")
        assert "| [small](zoo/small/card.md) | 2 | 3 |" in document
        assert str(tmp_path) not in "".join(
            (folder / name).read_text() for name in ("card.md", "manifest.json", "policy.json")
        )

    def check_heldout(self, manifest, tmp_path):
        """Compare with an evaluation of the same allocators."""
        own = [f"learned:runs/zoo/small/{seed}" for seed in (0, 1)]
        specs = ["static", "demand", "processor_sharing", *own]
        expected = evaluate("small.yaml-heldout", specs, quiet=True)["summary"]
        found = manifest["heldout"]
        names = ["static", "demand", "processor_sharing", "seed 0", "seed 1"]
        for spec, name in zip(specs, names, strict=True):
            for key in ("reward", "latency_term", "cost_term", "idle_term", "score"):
                other = expected["allocators"][spec][key]
                assert found["allocators"][name][key] == pytest.approx(other), (name, key)
        assert found["bound"]["reward"] == pytest.approx(expected["bound"]["reward"])
        rewards = [expected["allocators"][spec]["reward"] for spec in own]
        assert found["allocators"]["ppo"]["reward"] == pytest.approx(sum(rewards) / 2)
        rivals = {name: found["allocators"][name]["reward"] for name in names[:3]}
        assert found["best_rival"] == max(rivals, key=rivals.get)
        against = found["against"]["static"]
        assert against["mean"] == pytest.approx(sum(rewards) / 2 - rivals["static"])
        room = expected["bound"]["reward"] - rivals["static"]
        assert against["closed"] == pytest.approx(against["mean"] / room)
        assert against["note"] == "3 blocks: indicative"
        on_validation = evaluate("small.yaml-validation", specs[:3], bound=False, quiet=True)
        for name, reward in manifest["validation"]["rivals"].items():
            entry = on_validation["summary"]["allocators"][name]
            assert reward == pytest.approx(entry["reward"])

    def check_card(self, card, manifest):
        assert "Nothing learned in a second." in card
        command = f"slicegym-train zoo run.yaml --seeds 2 --rivals static,{RIVALS}"
        assert command in card
        assert "they are indicative" in card
        assert f"| {manifest['shipped_seed']} (shipped) |" in card
        for name in ("`static`", "`seed 0`", "`ppo`", "*clairvoyant bound*", "![Validation"):
            assert name in card
        lost = [line for line in card.splitlines() if line.startswith("| seed 200000")]
        assert len(lost) == len(manifest["heldout"]["losses"])

    def test_a_second_call_trains_nothing_and_gives_the_same(self, run, tmp_path):
        assert run(*small("--no-bound"))[0] == 0
        weights = (tmp_path / "zoo/small/policy.safetensors").read_bytes()
        marks = {seed: tmp_path / f"runs/zoo/small/{seed}/curve.csv" for seed in (0, 1)}
        before = {seed: mark.stat().st_mtime_ns for seed, mark in marks.items()}
        assert run(*small("--no-bound"))[0] == 0
        assert {seed: mark.stat().st_mtime_ns for seed, mark in marks.items()} == before
        assert (tmp_path / "zoo/small/policy.safetensors").read_bytes() == weights

    def test_a_run_that_was_cut_is_gone_on_with(self, run, tmp_path, monkeypatch):
        note = runs.train

        def killed(config, folder, **options):
            def cut(timesteps, reward):
                if config.seed == 1 and timesteps >= 512:
                    raise KeyboardInterrupt

            return note(config, folder, report=cut, **options)

        monkeypatch.setattr(runs, "train", killed)
        status, out, err = run(*small("--no-bound"))
        assert status == 130
        assert err == (
            "slicegym-train zoo: interrupted; what is finished stays in runs/zoo, and the same "
            "command goes on\n"
        )
        assert "runs/zoo/small/0: validation reward" in out
        assert not (tmp_path / "zoo").exists()
        monkeypatch.setattr(runs, "train", note)
        assert run(*small("--no-bound"))[0] == 0
        manifest = json.loads((tmp_path / "zoo/small/manifest.json").read_text())
        assert [seed["resumed_at"] for seed in manifest["seeds"]] == [[], [512]]
        curve = read_curve(tmp_path / "runs/zoo/small/1")
        assert [timesteps for timesteps, _ in curve] == [0, 256, 512, 768, 1024]

    def test_one_killed_before_its_first_checkpoint_begins_again(self, run, tmp_path):
        for seed, files in ((0, ("UNFINISHED", "manifest.json")), (1, ())):
            folder = tmp_path / f"runs/zoo/small/{seed}"
            folder.mkdir(parents=True)
            for name in files:
                (folder / name).write_text("{}")
        assert run(*small("--no-bound"))[0] == 0

    def test_only_the_table(self, run, tmp_path):
        assert run("--only-table", "--table", "zoo.md", "--out", "zoo")[0] == 0
        assert summary.EMPTY in (tmp_path / "zoo.md").read_text()

    def test_help_is_worth_reading(self, run):
        status, out, _ = run("--help")
        assert status == 0
        assert "the same command goes on" in out


@pytest.mark.slow
def test_processes_end_with_ctrl_c_and_leave_what_to_go_on_from(tmp_path):
    write_inputs(tmp_path)
    code = "from slicegym.train.cli import main\nif __name__ == '__main__': main()"
    (tmp_path / "go.py").write_text(code)
    command = [sys.executable, "go.py", "zoo", "run.yaml", "total_timesteps=100000000"]
    process = subprocess.Popen(
        [*command, "--seeds", "2", "--jobs", "2", "--out", "zoo"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    marks = [tmp_path / f"runs/zoo/small/{seed}/curve.csv" for seed in (0, 1)]
    deadline = time.monotonic() + 300
    while not all(map(os.path.exists, marks)) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in err
    for mark in marks:
        assert (mark.parent / "checkpoint.safetensors").is_file()
        assert read_curve(mark.parent)[0][0] == 0


REFUSED = [
    (("--only-table",), "--only-table must come with --table FILE"),
    (("--check", "--table", "zoo.md"), "--check must come without --table"),
    (("--check", "--only-table"), "--check must come without --table and --only"),
    (("run.yaml", "--table", "run.yaml"), "must have the lines <!-- zoo: begin -->"),
    (("run.yaml", "--table", "none.md"), "cannot read none.md"),
    (
        ("--check", "small", "--out", "taken"),
        "--out must be a zoo to be checked, and taken holds no",
    ),
    (("--check", "compsite"), "unknown policy of the zoo 'compsite' (did you mean 'composite'?)"),
    (("burst",), "unknown training configuration 'burst' (did you mean 'bursty'?)"),
    (("azure", "demo"), "CONFIG must be one for each scenario, got several for 'azure'"),
    (("run.yaml", "gama=1"), "unknown training option 'gama'"),
    (("run.yaml", "net_arch=[700,700]"), "net_arch must give at most 1000000 bytes to be shipped"),
    (("run.yaml", "--rivals", "demnd"), "unknown allocator 'demnd' (did you mean 'demand'?)"),
    (("run.yaml", "--rivals", "demand,demand"), "got 'demand' twice"),
    (("run.yaml", "--out", "taken"), "--out must be new or a zoo, and taken/small holds no man"),
    (("run.yaml", "--runs", "taken"), "--runs must hold training runs, and taken/small/0 is none"),
]


class TestRefusals:
    @pytest.mark.parametrize(("arguments", "message"), REFUSED)
    def test_one_line_and_nothing_left_behind(self, run, tmp_path, arguments, message):
        (tmp_path / "taken/small/0").mkdir(parents=True)
        (tmp_path / "taken/small/0/mine.txt").write_text("mine")
        before = sorted(path.name for path in tmp_path.rglob("*"))
        status, out, err = run("--jobs", 1, *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.startswith("slicegym-train zoo: error: ")
        assert err.count("\n") == 1
        assert sorted(path.name for path in tmp_path.rglob("*")) == before

    def test_a_run_of_another_configuration_is_not_taken(self, run):
        assert run(*small("--no-bound", seeds=1))[0] == 0
        status, _, err = run(*small("--no-bound", "gamma=0.9", seeds=1))
        assert status == 2
        assert "gamma must stay 0.99 when the run in runs/zoo/small/0 is resumed, got 0.9" in err


class TestPlan:
    def test_by_default_there_is_one_for_each_scenario(self):
        names = plan.default_configs()
        assert {"azure", "bursty", "workflow"} <= set(names)
        assert "demo" not in names
        for name in names:
            assert load_scenario(name).name == name

    def test_a_rival_that_refuses_the_scenario_is_named(self, configured, scenario_file):
        options = Options(rivals=("static", "adaptive_guaranteed"))
        content = {**SCENARIO, "agents": [dict(a, min_share=2) for a in SCENARIO["agents"]]}
        path = scenario_file.replace("small", "greedy")
        Path(path).write_text(yaml.safe_dump(content))
        entry = plan.Entry(configured(scenario=path), "greedy", "", "", options)
        can, refused = entry.rivals()
        assert can == ["static"]
        assert "min_share" in refused["adaptive_guaranteed"]

    def test_the_rule_that_is_corrected_is_a_rival(self, configured):
        corrected = {"network": "equivariant", "action": "residual", "net_arch": (8, 8)}
        for base, more in (("cmu:drain_s=2", ["cmu:drain_s=2"]), ("demand", [])):
            config = configured(base=base, **corrected)
            entry = plan.Entry(config, "small", "", "", Options(rivals=("demand",)))
            assert entry.rivals() == (["static", "demand", *more], {})

    def test_the_seeds_follow_that_of_the_configuration(self, configured):
        entry = plan.Entry(configured(seed=7), "small", "", "", Options(seeds=3))
        assert [config.seed for config, _ in entry.runs()] == [7, 8, 9]
        assert [str(folder) for _, folder in entry.runs()] == [
            f"runs/zoo/small/{seed}" for seed in (7, 8, 9)
        ]


class TestRuns:
    def test_the_later_word_counts_and_a_cut_line_does_not(self, tmp_path):
        (tmp_path / "curve.csv").write_text("0,-2.0\n256,-1.5\n256,-1.25\n512,-1")
        assert read_curve(tmp_path) == [(0, -2.0), (256, -1.25)]

    def test_finished_is_what_is_asked_for(self, tmp_path, configured):
        config = configured()
        manifest = {"config": config.as_dict(), "status": "finished"}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        assert runs.is_finished(config, tmp_path)
        assert runs.is_finished(dataclasses.replace(config, torch_threads=2), tmp_path)
        assert not runs.is_finished(dataclasses.replace(config, seed=1), tmp_path)
        for status in ("running", "interrupted"):
            (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"status": status}))
            assert not runs.is_finished(config, tmp_path)
        assert not runs.is_finished(config, tmp_path / "none")


def test_what_is_shipped_plays_as_it_was_judged(run, tmp_path, monkeypatch):
    assert run(*small("--no-bound", seeds=1))[0] == 0
    spec = f"ppo:{tmp_path / 'zoo' / 'small'}"
    make_allocator(spec)
    found = evaluate("small.yaml-heldout", [spec], bound=False, quiet=True)["summary"]
    manifest = json.loads((tmp_path / "zoo/small/manifest.json").read_text())
    expected = manifest["heldout"]["allocators"]["seed 0"]["reward"]
    assert found["allocators"][spec]["reward"] == expected


class TestCheck:
    def test_it_says_what_is_not_as_on_the_card(self, run, tmp_path):
        assert run(*small("--no-bound", seeds=1))[0] == 0
        status, out, err = run("--check", "--jobs", 1, "--out", "zoo")
        assert (status, err) == (0, "")
        assert out == (
            "small: as on its card, 4 allocators (3 episodes)\n"
            "1 of 1 policies play as their cards say\n"
        )
        path = tmp_path / "zoo/small/manifest.json"
        manifest = json.loads(path.read_text())
        reward = manifest["heldout"]["allocators"]["demand"]["reward"]
        manifest["heldout"]["allocators"]["demand"]["reward"] = reward - 1e-3
        path.write_text(json.dumps(manifest))
        status, out, err = run("--check", "small", "--jobs", 1, "--out", "zoo")
        assert (status, err) == (1, "")
        card, now = (f"{abs(value):.6f}" for value in (reward - 1e-3, reward))
        assert out == (
            f"small: demand −{card} on the card, −{now} now (3 episodes)\n"
            "0 of 1 policies play as their cards say\n"
        )

    def test_a_scenario_that_is_gone_is_not_taken_for_played(self, run, tmp_path):
        assert run(*small("--no-bound", seeds=1))[0] == 0
        (tmp_path / "small.yaml").unlink()
        status, out, _ = run("--check", "--jobs", 1, "--out", "zoo")
        assert status == 1
        assert out.startswith("small: not played: cannot read small.yaml")
        assert "0 of 1 policies play" in out


@pytest.mark.slow
@pytest.mark.traces
def test_every_shipped_policy_plays_as_its_card_says():
    with Workers(1) as workers:
        changed = {
            folder.name: replay(folder, workers, quiet=True).changed
            for folder in chosen(ROOT / "configs" / "zoo", [])
        }
    assert len(changed) == len(plan.default_configs())
    assert not {name: found for name, found in changed.items() if found}


def test_the_document_has_the_table_of_the_zoo():
    found = summary.summary_table(ROOT / "configs" / "zoo", ROOT / "docs")
    text = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    renew = "slicegym-train zoo --only-table --table docs/zoo.md"
    assert summary.with_table(text, found) == text, f"renew it: {renew}"


def test_a_document_without_a_place_is_refused():
    with pytest.raises(ConfigError, match="must have the lines"):
        summary.with_table("# Nothing\n", "| a |")
