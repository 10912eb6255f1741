"""The command that tunes: files, many tasks, and what becomes of those that fail."""

import pytest
import yaml

from slicegym.eval import tune_many
from slicegym.eval.engines import Answer, Workers
from slicegym.eval.engines.local import lost
from slicegym.eval.tune import Refused, Task, tune

QUICK = ["--trials", 4, "--tapes", 2, "--jobs", 1]


def tight(folder):
    """Write a scenario whose minima exceed its pool."""
    path = folder / "tight.yaml"
    agent = {"throughput": 1.0, "min_share": 0.9}
    content = {
        "agents": [{"name": name, **agent} for name in ("a", "b")],
        "gpus": 1.0,
        "horizon_s": 20.0,
        "workload": {
            "kind": "streams",
            "streams": {name: {"kind": "poisson", "rate": 0.2} for name in ("a", "b")},
        },
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_refusal_says_who_refuses_what(tmp_path):
    with pytest.raises(Refused, match="fair refuses tight: min_share of all agents"):
        tune(Task("fair", str(tight(tmp_path))), quiet=True)


class TestCommand:
    def test_an_entry_is_put_into_a_file_that_keeps_the_others(self, cli, tmp_path):
        out = tmp_path / "demand.yaml"
        out.write_text("other: {parameters: {drain_s: 3.0}}\n")
        status, text, _ = cli("tune", "--scenario", "paper", *QUICK, "--out", out)
        assert status == 0
        assert text.startswith("# paper: reward ")
        content = yaml.safe_load(out.read_text())
        assert content["other"] == {"parameters": {"drain_s": 3.0}}
        manifest = content["paper"]["tuned"]
        command = "slicegym-eval tune --allocator demand --scenario paper --trials 4 --tapes 2"
        assert manifest["command"] == f"{command} --seed 0"
        assert manifest["split"] == "train"
        assert manifest["trials"] == 4
        assert manifest["reward"] >= manifest["default_reward"]

    def test_many_tasks_fill_a_folder(self, cli, tmp_path):
        arguments = ["--scenario", "paper,bursty", "--allocator", "cmu,keda", *QUICK]
        assert cli("tune", *arguments, "--out", tmp_path)[0] == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cmu.yaml", "keda.yaml"]
        for path in tmp_path.iterdir():
            assert list(yaml.safe_load(path.read_text())) == ["bursty", "paper"]

    @pytest.mark.slow
    def test_processes_find_what_one_finds(self, cli, tmp_path):
        found = []
        for jobs in (1, 2):
            folder = tmp_path / str(jobs)
            folder.mkdir()
            arguments = ["--scenario", "paper,bursty", "--allocator", "cmu,keda", *QUICK]
            assert cli("tune", *arguments, "--jobs", jobs, "--out", folder)[0] == 0
            found.append({path.name: path.read_text() for path in folder.iterdir()})
        assert found[0] == found[1]

    def test_a_task_whose_process_is_lost_takes_no_other_along(self):
        class Losing(Workers):
            def as_completed(self, function, tasks, **_):
                for found in super().as_completed(function, tasks):
                    is_lost = tasks[found.place][0].allocator == "keda"
                    yield Answer(found.place, error=lost()) if is_lost else found

        tasks = [Task(name, "paper", trials=1, n_tapes=1) for name in ("cmu", "keda", "fair")]
        found = {one.task.allocator: one for one in tune_many.outcomes(tasks, Losing())}
        assert "ended from outside" in found["keda"].failed
        assert found["cmu"].found is not None
        assert found["fair"].found is not None

    def test_one_that_refuses_is_skipped_and_one_that_fails_is_named(
        self, cli, tmp_path, monkeypatch
    ):
        def broken(self, observation):
            raise RuntimeError("a bug")

        monkeypatch.setattr("slicegym.baselines.cmu.CMu.allocate", broken)
        arguments = ["--scenario", tight(tmp_path), "--allocator", "cmu,fair,keda", *QUICK]
        out = tmp_path / "out"
        out.mkdir()
        status, text, errors = cli("tune", *arguments, "--out", out)
        assert status == 1
        assert "skipped fair on" in errors
        assert "FAILED cmu on" in errors
        assert "RuntimeError: a bug" in errors
        assert text.startswith("# tight: reward")
        assert [path.name for path in out.iterdir()] == ["keda.yaml"]

    def test_an_interruption_leaves_what_was_written(self, cli, tmp_path, monkeypatch):
        real = tune_many.tune

        def interrupted(task, quiet):
            if task.allocator == "keda":
                raise KeyboardInterrupt
            return real(task, quiet=quiet)

        monkeypatch.setattr(tune_many, "tune", interrupted)
        arguments = ["--scenario", "paper", "--allocator", "cmu,keda,fair", *QUICK]
        status, _, errors = cli("tune", *arguments, "--out", tmp_path)
        assert status == 130
        assert errors == "slicegym-eval: interrupted\n"
        assert [path.name for path in tmp_path.iterdir()] == ["cmu.yaml"]

    def test_all_are_those_with_parameters(self):
        chosen = tune_many.allocators_named("all")
        assert {"demand", "hpa", "round_robin"} <= set(chosen)
        assert not {"static", "adaptive", "learned"} & set(chosen)
        assert {"azure", "paper"} <= set(tune_many.scenarios_named("all"))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--allocator", "static"], "'static' must have a search_space to be tuned"),
            (["--allocator", "hpa,hpb"], "unknown allocator 'hpb'"),
            (["--allocator", "hpa,hpa"], "--allocator must be different names"),
            (["--allocator", "hpa,"], "--allocator must be different names"),
            (["--scenario", "papr"], "unknown scenario 'papr'"),
            (["--allocator", "hpa,cmu", "--out", "one.yaml"], "--out must be a folder"),
            (["--out", "nowhere/one.yaml"], "its folder nowhere does not exist"),
        ],
    )
    def test_what_cannot_be_tuned_is_refused_before_the_search(self, refuse, arguments, message):
        assert message in refuse(
            "tune",
            *(arguments if "--scenario" in arguments else ["--scenario", "paper", *arguments]),
        )

    def test_an_unreadable_file_is_refused_before_the_search(self, refuse, tmp_path):
        (tmp_path / "x.yaml").write_text("- a list\n")
        line = refuse("tune", "--scenario", "paper", "--out", tmp_path / "x.yaml")
        assert "must hold a mapping" in line
