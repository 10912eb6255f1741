"""How tuned values reach allocators: what goes before what, and what a file may hold."""

import copy
import pickle
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import yaml

from slicegym.baselines import Allocator, allocator_class, make_allocator, names, tuned
from slicegym.baselines.base import Range
from slicegym.baselines.parameters import field_types
from slicegym.envs.errors import ConfigError
from slicegym.envs.kernel.observe import RAW_COLUMNS
from slicegym.envs.loading import scenario_names, shipped
from slicegym.envs.observation import Observation
from slicegym.envs.spec import Agent, Scenario

TUNABLE = [name for name in names() if allocator_class(name).search_space]
AZURE = Scenario((Agent("a", throughput=1.0), Agent("b", throughput=2.0)), gpus=4.0, name="azure")
BURSTY = replace(AZURE, name="bursty")


@dataclass(eq=False)
class Each(Allocator):
    """A share for everybody, below a limit, or its whole number; not registered."""

    share: float = 1.0
    limit: float = 2.0
    number: int = 0
    whole: bool = False

    name = "each"
    search_space = (Range("share", 0.1, 2.0),)

    def __post_init__(self):
        if self.share > self.limit:
            raise ConfigError(f"each.share must be at most limit, got {self.share}")

    def allocate(self, observation):
        share = self.number if self.whole else self.share
        return np.full(observation.queue.shape, float(share))


@pytest.fixture
def ship(tmp_path, monkeypatch):
    """Ship a text as the tuned values of one allocator, by default `each`."""

    def write(text, name="each"):
        path = tmp_path / "values.yaml"
        path.write_text(text)
        monkeypatch.setattr(tuned, "shipped", lambda folder: {name: path})
        tuned.tuned_values.cache_clear()

    yield write
    tuned.tuned_values.cache_clear()


def shares(allocator, world):
    raw = np.zeros((world.n_agents, len(RAW_COLUMNS)))
    return allocator.allocate(Observation(world, np.array(0), raw)).tolist()


def test_a_scenario_of_another_size_has_the_values_of_its_own(ship):
    """They are tuned for the world, whatever its size: `many-64` has those of `many`."""
    ship("many: {parameters: {share: 0.25}}")
    allocator = Each.from_text("")
    for name, share in (("many", 0.25), ("many-64", 0.25), ("many-on", 1.0), ("azure-64", 1.0)):
        world = replace(AZURE, name=name)
        allocator.reset(world)
        assert shares(allocator, world) == [share, share]


class TestPrecedence:
    TEXT = "azure: {parameters: {share: 0.25}}"

    @pytest.mark.parametrize(
        ("text", "in_azure", "in_bursty"),
        [
            ("", 0.25, 1.0),
            ("limit=3", 0.25, 1.0),
            ("share=0.5", 0.5, 0.5),
            ("tuned=false", 1.0, 1.0),
            ("tuned=true", 0.25, 1.0),
            ("tuned=false,share=0.5", 0.5, 0.5),
        ],
    )
    def test_given_before_tuned_before_default(self, ship, text, in_azure, in_bursty):
        ship(self.TEXT)
        allocator = Each.from_text(text)
        for world, expected in ((AZURE, in_azure), (BURSTY, in_bursty), (AZURE, in_azure)):
            allocator.reset(world)
            assert shares(allocator, world) == [expected] * 2
            assert allocator.parameters()["share"] == expected

    def test_another_scenario_is_noticed_without_a_reset(self, ship):
        ship(self.TEXT)
        allocator = Each.from_text("")
        assert [shares(allocator, world)[0] for world in (AZURE, BURSTY, AZURE)] == [0.25, 1, 0.25]

    def test_built_in_python_it_is_what_is_written(self, ship):
        ship(self.TEXT)
        assert shares(Each(), AZURE) == [1.0] * 2
        assert shares(Each(limit=3.0), AZURE) == [1.0] * 2

    def test_a_class_without_file_is_itself(self, ship):
        ship(self.TEXT)
        assert type(make_allocator("round_robin")) is allocator_class("round_robin")

    def test_copies_and_pickles_look_up_as_well(self, ship):
        ship("azure: {parameters: {drain_s: 0.5}}", "cmu")
        allocator = make_allocator("cmu:keep_warm_s=7")
        for again in (copy.copy(allocator), copy.deepcopy(allocator), pickled(allocator)):
            again.reset(AZURE)
            raw = np.zeros((2, len(RAW_COLUMNS)))
            raw[:, RAW_COLUMNS.index("queue")] = 0.5
            raw[:, RAW_COLUMNS.index("warm")] = 1
            # max(n, c)/drain_s/T with c = 1 and T = 1, 2; the default's 5 s would be a tenth of it
            assert again.allocate(Observation(AZURE, np.array(0), raw)).tolist() == [2.0, 1.0]


def pickled(allocator):
    return pickle.loads(pickle.dumps(allocator))


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "azure: {parameters: {shore: 1.0}}",
                r"parameters has an unknown key 'shore' .*'share",
            ),
            ("azure: {parameters: {share: 3.0}}", r"each.share must be at most limit, got 3.0"),
            ("azure: {parameters: {share: wide}}", "each.share must be a number, got 'wide'"),
            ("azure: {parameters: {share: true}}", "each.share must be a number, got True"),
            ("azure: {parameters: {number: 1.5}}", "each.number must be a whole number, got 1.5"),
            ("azure: {parameters: {whole: 1}}", "each.whole must be true or false, got 1"),
            ("azure: {parameters: 1}", "parameters must be a mapping"),
            ("azure: {tuned: {}}", "lacks the required key 'parameters'"),
            ("azure: {parameters: {}, tund: {}}", "unknown key 'tund'"),
            ("azure: 1", "must be a mapping"),
            ("bursty: {parameters: {}}\nazure: {parameters: {share: 3}}", "got 3"),
        ],
    )
    def test_what_a_file_may_not_hold_names_file_scenario_and_field(self, ship, text, message):
        ship(text)
        with pytest.raises(ConfigError, match=rf"configs/allocators/each.yaml: azure.*{message}"):
            Each.from_text("")
        Each.from_text("tuned=false")

    def test_a_given_value_that_does_not_go_with_the_tuned_ones_is_refused(self, ship):
        ship("azure: {parameters: {share: 1.5}}")
        allocator = Each.from_text("limit=1")
        allocator.reset(BURSTY)
        with pytest.raises(ConfigError, match=r"1\.5, beside what was tuned for azure; give"):
            allocator.reset(AZURE)

    def test_a_bad_given_value_is_refused_at_once(self, ship):
        ship("azure: {parameters: {}}")
        with pytest.raises(ConfigError, match=r"each\.share must be at most limit, got 9"):
            Each.from_text("share=9")

    @pytest.mark.parametrize("name", sorted(shipped("allocators")))
    def test_those_shipped_are_accepted_and_say_where_they_come_from(self, name):
        cls = allocator_class(name)
        assert set(tuned.tuned_values(cls)) <= set(scenario_names())
        for entry in yaml.safe_load(shipped("allocators")[name].read_text()).values():
            assert entry["tuned"]["split"] == "train"
            assert f"--allocator {name} " in entry["tuned"]["command"]


class TestSearchSpaces:
    def test_every_allocator_with_parameters_has_one(self):
        assert {name for name in names() if field_types(allocator_class(name))} == set(TUNABLE)

    @pytest.mark.parametrize("name", TUNABLE)
    def test_they_name_parameters_once(self, name):
        searched = [one.name for one in allocator_class(name).search_space]
        assert len(set(searched)) == len(searched)
        assert set(searched) <= set(field_types(allocator_class(name)))

    @pytest.mark.parametrize("name", TUNABLE)
    def test_they_hold_the_defaults_and_lie_inside_the_allowed(self, name):
        cls = allocator_class(name)
        defaults = {field.name: field.default for field in fields(cls)}
        for one in cls.search_space:
            assert one.holds(defaults[one.name])
            for end in one.ends:
                cls(**{one.name: end})
