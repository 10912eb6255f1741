"""What tuning may change in a training configuration."""

from dataclasses import fields

import pytest

from slicegym.baselines.parameters import Range
from slicegym.envs.loading import shipped
from slicegym.train import search
from slicegym.train.config import TrainConfig, load_config
from slicegym.train.search import Ladder, own_values, space_around, with_values

NAMES = [one.name for one in search.SPACE]


def ends(one):
    return (one.low, one.high) if isinstance(one, Range) else one.values


class TestSpace:
    def test_names_are_fields_or_become_fields(self):
        assert len(set(NAMES)) == len(NAMES)
        assert set(NAMES) - set(search.DERIVED) <= {field.name for field in fields(TrainConfig)}

    @pytest.mark.parametrize("one", search.SPACE, ids=NAMES)
    def test_training_takes_what_may_be_drawn(self, one):
        config = TrainConfig(scenario="azure")
        for value in ends(one):
            with_values(config, {**own_values(config), one.name: value})

    @pytest.mark.parametrize("name", shipped("train"))
    def test_a_configuration_lies_inside_its_own_space(self, name):
        config = load_config(name)
        own = own_values(config)
        assert with_values(config, own) == config
        for one in space_around(config):
            inside = one.low <= own[one.name] <= one.high if isinstance(one, Range) else None
            assert inside or own[one.name] in one.values

    def test_it_is_widened_in_order(self):
        config = TrainConfig(
            scenario="azure",
            n_envs=32,
            n_steps=100,
            batch_size=32 * 100 // 5,
            learning_rate=1e-5,
            final_learning_rate=1e-5,
        )
        space = {one.name: one for one in space_around(config)}
        assert space["n_steps"] == Ladder("n_steps", (16, 32, 64, 100, 128, 256))
        assert space["minibatches"] == Ladder("minibatches", (2, 4, 5, 8, 16, 32))
        assert space["learning_rate"] == Range("learning_rate", 1e-5, 1e-2, log=True)
        assert search.as_parameters(config, own_values(config))["n_steps"] == 3

    def test_a_network_that_runs_for_every_agent_has_narrow_layers(self):
        config = TrainConfig(scenario="azure", network="equivariant", net_arch=(32, 32, 32))
        space = {one.name: one for one in space_around(config)}
        assert space["net_arch"].values == ((16, 16), (32, 32), (32, 32, 32), (64, 64))


class TestWithValues:
    CONFIG = TrainConfig(scenario="azure", n_envs=8, n_steps=16, batch_size=64)

    def changed(self, config=CONFIG, **values):
        return with_values(config, {**own_values(config), **values})

    def test_ratios_become_fields(self):
        config = self.changed(learning_rate=1e-3, final_part=0.05, n_steps=32, minibatches=4)
        assert config.final_learning_rate == 5e-5
        assert (config.n_steps, config.batch_size) == (32, 8 * 32 // 4)

    def test_others_are_taken_and_the_rest_is_left(self):
        config = self.changed(net_arch=(32, 32), gamma=0.9)
        assert (config.net_arch, config.gamma) == ((32, 32), 0.9)
        assert (config.scenario, config.n_envs, config.batch_size) == ("azure", 8, 64)

    @pytest.mark.parametrize(
        ("n_envs", "n_steps", "minibatches", "batch_size"),
        [(3, 5, 4, 5), (7, 1, 4, 7), (1, 16, 32, 2), (8, 16, 16, 8)],
    )
    def test_minibatches_are_of_one_size_and_of_two_decisions_at_least(
        self, n_envs, n_steps, minibatches, batch_size
    ):
        timesteps = n_envs * n_steps
        small = TrainConfig(
            scenario="azure", n_envs=n_envs, n_steps=n_steps, batch_size=timesteps, gamma=0.9
        )
        assert self.changed(small, minibatches=minibatches).batch_size == batch_size
