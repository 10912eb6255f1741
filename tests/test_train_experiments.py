"""Experiments: what they train, how variants are judged, and which files are refused."""

import json

import pytest
import yaml

from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import shipped
from slicegym.eval.session import evaluate
from slicegym.train import cli
from slicegym.train.experiments.plan import load_experiment
from slicegym.train.zoo.plan import CAUSAL

from .training import SCENARIO, TINY

QUESTION = {
    "description": "Is a larger network better?",
    "config": "run.yaml",
    "suites": ["small.yaml-heldout"],
    "variants": {"as it is": [], "a larger, slower one": ["net_arch=[16]", "learning_rate=1e-4"]},
}
DOCUMENT = "# Mine\n\n<!-- question: begin -->\n<!-- question: end -->\n\nThe end.\n"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in a folder that holds what it needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    values = {**TINY, "net_arch": [8], "baselines": []}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"scenario": "small.yaml", **values}))
    (tmp_path / "question.yaml").write_text(yaml.safe_dump(QUESTION, sort_keys=False))
    (tmp_path / "mine.md").write_text(DOCUMENT)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["experiment", *map(str, arguments)])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


OPTIONS = ("--seeds", 2, "--jobs", 1, "--rivals", "demand")


def test_variants_are_trained_and_judged_on_the_same_tapes(run, tmp_path):
    status, out, err = run("question.yaml", *OPTIONS, "--table", "mine.md")
    assert (status, err) == (0, "")
    folder = tmp_path / "runs/experiments/question"
    (found,) = json.loads((folder / "results.json").read_text()).values()

    own = {
        name: [f"learned:runs/experiments/question/{slug}/{seed}" for seed in (0, 1)]
        for name, slug in (
            ("as it is", "as-it-is"),
            ("a larger, slower one", "a-larger-slower-one"),
        )
    }
    specs = ["static", "demand", *(spec for seeds in own.values() for spec in seeds)]
    expected = evaluate("small.yaml-heldout", specs, quiet=True)["summary"]
    rewards = {spec: expected["allocators"][spec]["reward"] for spec in specs}
    means = {}
    for name, seeds in own.items():
        each = [rewards[spec] for spec in seeds]
        means[name] = sum(each) / 2
        assert found["variants"][name]["seeds"] == pytest.approx(each)
        assert found["variants"][name]["figures"]["reward"] == pytest.approx(means[name])
    assert found["rivals"]["demand"]["reward"] == pytest.approx(rewards["demand"])
    best = max(("static", "demand"), key=lambda name: rewards[name])
    assert found["best_rival"] == best
    other = found["variants"]["a larger, slower one"]
    first, last = means.values()
    assert first != last
    assert other["against_first"]["mean"] == pytest.approx(last - first)
    assert other["against_rival"]["mean"] == pytest.approx(last - rewards[best])
    assert found["variants"]["as it is"]["against_first"] is None
    sizes = [
        json.loads((tmp_path / spec.partition(":")[2] / "policy.json").read_text())["hidden"]
        for spec in specs[2:]
    ]
    assert sizes == [[8], [8], [16], [16]]

    document = (tmp_path / "mine.md").read_text()
    assert document.startswith("# Mine\n")
    assert document.endswith("The end.\n")
    assert out.strip() in document
    assert "| a larger, slower one |" in out
    assert "*a larger, slower one*: `net_arch=[16] learning_rate=1e-4`" in out

    again = run("question.yaml", *OPTIONS)  # which has nothing left to train
    assert again == (0, out, "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "nowhere.yaml"}, "nowhere.yaml"),
        ({"suites": ["nothing-heldout"]}, "unknown suite 'nothing-heldout'"),
        ({"suites": []}, "at least one suite and one variant"),
        ({"variants": {"a": ["net_arhc=[8]"]}}, "unknown training option 'net_arhc'"),
        ({"variants": {"a": "net_arch=[8]"}}, "variants.a must be a list"),
        ({"speed": 1}, "unknown key 'speed'"),
    ],
)
def test_a_file_that_is_refused(run, tmp_path, changes, message):
    (tmp_path / "question.yaml").write_text(yaml.safe_dump(QUESTION | changes, sort_keys=False))
    status, out, err = run("question.yaml", *OPTIONS)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_document_without_a_place_is_refused_before_anything_is_trained(run, tmp_path):
    (tmp_path / "mine.md").write_text("# Nothing\n")
    status, _, err = run("question.yaml", *OPTIONS, "--table", "mine.md")
    assert status == 2
    assert "<!-- question: begin -->" in err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_name_is_answered(run):
    status, _, err = run("ablatoins")
    assert status == 2
    assert "did you mean 'ablations'?" in err


@pytest.mark.traces
@pytest.mark.parametrize("name", shipped("experiments"))
def test_every_shipped_experiment_loads(name):
    experiment = load_experiment(name, CAUSAL, ())
    slugs = {variant.slug for variant in experiment.variants}
    assert len(slugs) == len(experiment.variants)
    with pytest.raises(ConfigError):
        load_experiment(name, ("nobody",), ())
