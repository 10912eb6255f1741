"""The allocator `ppo` and the shipped policies. Nothing here needs torch."""

import json
from pathlib import Path

import numpy as np
import pytest

from slicegym.baselines import make_allocator, zoo
from slicegym.baselines.learned import load_policy
from slicegym.baselines.zoo import Shipped, policies, zoo_folder
from slicegym.envs import ConfigError, TraceError, load_scenario, simulate
from slicegym.envs.loading import unsized
from slicegym.envs.observation import SCHEMA, n_features
from slicegym.eval.runs.plan import nameable
from slicegym.eval.suite import load_suite
from slicegym.eval.table_cmd import tabulate

from .policies import EQUIVARIANT, equivariant_tensors, random_tensors, write_policy
from .test_allocators import observe

MOST_BYTES = 1_000_000
FILES = {"policy.safetensors", "policy.json", "manifest.json", "card.md", "curves.png"}
SHIPPED = list(policies(zoo_folder()))


def write_shipped(folder, scenario, tensors=None, **changes):
    """Write a policy with all that a shipped one has beside it."""
    folder.parent.mkdir(exist_ok=True)
    write_policy(folder, tensors, scenario=scenario, **changes)
    for name in FILES - {"policy.safetensors", "policy.json"}:
        (folder / name).write_text("{}")
    return folder


def faults(folder):
    """What is wrong with a shipped policy, as far as can be seen without playing it."""
    header = load_policy(folder).header
    world = load_scenario(folder.name)
    checks = {
        "files": {path.name for path in folder.iterdir()} == FILES,
        "size": all(path.stat().st_size <= MOST_BYTES for path in folder.iterdir()),
        "schema": header.observation == SCHEMA,
        "scenario": header.scenario == folder.name,
        "agents": header.kind.any_agents or header.n_agents == world.n_agents,
        "features": header.n_features == n_features(world),
    }
    return [name for name, holds in checks.items() if not holds]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A zoo with a policy for any number of agents and one for four."""
    folder = tmp_path / "zoo"
    write_shipped(folder / "many", "many", equivariant_tensors(), **EQUIVARIANT)
    write_shipped(folder / "bursty", "bursty", random_tensors(4), n_agents=4)
    monkeypatch.setattr(zoo, "zoo_folder", lambda: folder)
    return folder


class TestEveryShippedPolicy:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_it_is_whole_and_fits_its_scenario(self, name):
        assert faults(Path(str(zoo_folder())) / name) == []

    @pytest.mark.parametrize("name", SHIPPED)
    def test_it_plays(self, name):
        try:
            suite = load_suite(f"{name}-validation")
            tape = suite.scenario.tape(suite.episodes[0])
        except TraceError as error:
            pytest.skip(str(error))
        run = simulate(suite.scenario, tape, make_allocator("ppo"))
        assert np.isfinite(run.rewards).all()

    @pytest.mark.parametrize("name", SHIPPED)
    def test_it_keeps_the_contract(self, name):
        check_contract(make_allocator("ppo"), load_scenario(name))

    def test_a_sound_one_has_no_faults(self, tiny):
        assert faults(tiny / "bursty") == faults(tiny / "many") == []

    @pytest.mark.parametrize(
        ("scenario", "fault"),
        [("bursty", "agents"), ("azure", "scenario"), ("pool", "features")],
    )
    def test_one_that_does_not_fit_is_seen(self, tmp_path, scenario, fault):
        folder = write_shipped(tmp_path / "zoo" / scenario, "bursty", random_tensors(3))
        assert fault in faults(folder)

    def test_files_that_lack_or_are_too_large_are_seen(self, tiny):
        (tiny / "bursty" / "card.md").unlink()
        (tiny / "many" / "card.md").write_text("x" * (MOST_BYTES + 1))
        assert (faults(tiny / "bursty"), faults(tiny / "many")) == (["files"], ["size"])

    def test_another_schema_is_refused(self, tiny):
        header = json.loads((tiny / "bursty" / "policy.json").read_text())
        (tiny / "bursty" / "policy.json").write_text(json.dumps({**header, "observation": "old"}))
        with pytest.raises(ConfigError, match=f"observation must be '{SCHEMA}'"):
            faults(tiny / "bursty")


def check_contract(allocator, world):
    """As test_allocators.py has it for those that play any scenario."""
    seen = observe(world, batch=5)
    before = seen.raw.copy()
    allocator.reset(world)
    shares = allocator.allocate(seen)
    assert shares.shape in ((5, world.n_agents), (5, world.n_requests))
    assert shares.dtype == np.float64
    assert np.isfinite(shares).all()
    assert (shares[:, : world.n_agents] >= 0).all()
    np.testing.assert_array_equal(seen.raw, before)
    again = allocator.allocate(seen)
    assert again is not shares
    np.testing.assert_array_equal(again, shares)


class TestPpo:
    def test_it_is_the_policy_of_the_scenario_played(self, tiny):
        allocator = make_allocator("ppo")
        for name in ("bursty", "many", "bursty"):
            world = load_scenario(name)
            seen = observe(world, batch=4)
            allocator.reset(world)
            expected = make_allocator(f"learned:{tiny / name}").allocate(seen)
            np.testing.assert_array_equal(allocator.allocate(seen), expected)
            assert allocator.parameters() == {
                "scenario": name,
                "base": EQUIVARIANT["base"] if name == "many" else "",
                "sha256": load_policy(tiny / name).header.weights_sha256,
            }

    def test_it_finds_the_scenario_of_an_observation_by_itself(self, tiny):
        seen = observe(load_scenario("bursty"))
        expected = make_allocator(f"learned:{tiny / 'bursty'}").allocate(seen)
        np.testing.assert_array_equal(make_allocator("ppo").allocate(seen), expected)

    def test_it_keeps_the_contract(self, tiny):
        for name in ("bursty", "many", "many-5"):
            check_contract(make_allocator("ppo"), load_scenario(name))

    def test_a_size_in_the_name_does_not_matter(self, tiny):
        world = load_scenario("many-7")
        seen = observe(world)
        expected = make_allocator(f"learned:{tiny / 'many'}").allocate(seen)
        np.testing.assert_array_equal(make_allocator("ppo").allocate(seen), expected)

    def test_a_number_in_a_name_is_not_always_a_size(self):
        names = ("many-64", "many", "composite-80", "bursty-3", "my-64")
        assert [unsized(name) for name in names] == ["many", *names[1:]]

    def test_a_scenario_without_one_is_refused_and_others_are_named(self, tiny):
        allocator = make_allocator("ppo")
        allocator.reset(load_scenario("bursty"))
        message = (
            "no shipped policy for scenario 'azure'; there is one for bursty, many; train your own "
            "and name its folder: ppo:DIR"
        )
        with pytest.raises(ConfigError, match=message):
            allocator.reset(load_scenario("azure"))
        assert allocator.parameters() == {}

    def test_an_empty_zoo_says_so(self, tmp_path):
        with pytest.raises(ConfigError, match="there is one for none so far"):
            Shipped(tmp_path / "none").reset(load_scenario("bursty"))

    def test_ones_own_is_that_of_the_folder(self, tmp_path):
        folder = write_policy(tmp_path / "p", random_tensors(4), n_agents=4)
        seen = observe(load_scenario("bursty"))
        expected = make_allocator(f"learned:{folder}").allocate(seen)
        np.testing.assert_array_equal(make_allocator(f"ppo:{folder}").allocate(seen), expected)

    def test_what_is_half_made_is_none(self, tiny):
        (tiny / ".bursty.new").mkdir()
        (tiny / ".bursty.new" / "policy.json").write_text("{}")
        (tiny / "azure").mkdir()
        assert list(policies(tiny)) == ["bursty", "many"]

    def test_no_policy_can_correct_it(self, tmp_path):
        folder = write_policy(
            tmp_path / "p", equivariant_tensors(), **{**EQUIVARIANT, "base": "ppo"}
        )
        with pytest.raises(ConfigError, match="base must name a causal rule, not a policy"):
            make_allocator(f"learned:{folder}")


class TestInTables:
    def test_it_plays_where_there_is_a_policy_and_is_named_elsewhere(self, tiny):
        content = tabulate(["bursty", "paper"], ["ppo"], "validation", 1, bound=False, quiet=True)
        assert list(content["families"]["bursty"]["allocators"]) == ["static", "ppo"]
        assert list(content["families"]["paper"]["allocators"]) == ["static"]
        assert "no shipped policy for scenario 'paper'" in content["skipped"]["ppo on paper"]

    def test_it_can_be_given_by_name(self, cli):
        assert "ppo" in nameable()
        listed = json.loads(cli("list", "--json", "-")[1])
        assert {"name": "ppo", "causal": True} in listed["allocators"]
        assert listed["allocators_of_files"] == [{"name": "learned", "causal": True}]

    def test_a_manifest_says_which_policy_played(self, tiny, cli, tmp_path):
        out = tmp_path / "out"
        arguments = ("--suite", "bursty-validation", "--allocators", "ppo", "--episodes", 1)
        assert cli("run", *arguments, "--no-bound", "--out", out)[0] == 0
        parameters = json.loads((out / "manifest.json").read_text())["parameters"]
        assert (
            parameters["bursty"]["ppo"]["sha256"]
            == load_policy(tiny / "bursty").header.weights_sha256
        )
