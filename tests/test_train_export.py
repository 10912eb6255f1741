"""What training hands on: policies in files, and checkpoints."""

import numpy as np
import pytest
import torch

from slicegym.baselines import make_allocator
from slicegym.baselines.learned import load_policy
from slicegym.baselines.policy.networks import ACTIVATIONS
from slicegym.envs import ConfigError, load_scenario
from slicegym.train.checkpoint import load_checkpoint, save_checkpoint
from slicegym.train.export import numpy_policy, pinned, save_policy
from slicegym.train.ppo import make_env, make_model

from .training import files

NOTES = {"timesteps": 256, "next": 512, "best": {"timesteps": 0, "reward": -1.5}, "wall_s": 2.5}


class TestExport:
    @pytest.fixture(params=[*ACTIVATIONS, "equivariant"])
    def model(self, request, configured):
        values = {"activation": request.param}
        if request.param == "equivariant":
            values = {"network": "equivariant", "action": "residual", "base": "demand"}
        config = configured(**values, net_arch=(32, 16, 8))
        scenario = load_scenario(config.scenario)
        model = make_model(config, make_env(config, scenario), scenario)
        torch.manual_seed(1)
        with torch.no_grad():  # as training might leave them, so that some actions are clipped
            for parameter in model.policy.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        return config, scenario, model

    def test_equals_the_deterministic_prediction_of_stable_baselines3(self, model):
        config, scenario, ppo_model = model
        policy = numpy_policy(ppo_model, config, scenario)
        shape = (4096, *ppo_model.observation_space.shape)
        flat = np.random.default_rng(0).random(shape, np.float32)
        expected, _ = ppo_model.predict(flat, deterministic=True)
        actions = policy.actions(flat.reshape(4096, 2, -1))
        np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-5)
        assert (np.abs(actions) == 1).any()
        assert (np.abs(actions) < 1).any()

    def test_files_give_the_same_numbers(self, model, tmp_path):
        config, scenario, ppo_model = model
        save_policy(tmp_path, ppo_model, config, scenario)
        shape = (10, 2, ppo_model.observation_space.shape[0] // 2)
        features = np.random.default_rng(0).random(shape, np.float32)
        ours = numpy_policy(ppo_model, config, scenario).actions(features)
        np.testing.assert_array_equal(load_policy(tmp_path).actions(features), ours)
        assert files(tmp_path) == {"policy.json", "policy.safetensors"}

    def test_a_checkpoint_holds_weights_and_optimiser(self, configured, tmp_path):
        config = configured()
        scenario = load_scenario(config.scenario)
        models = [make_model(config, make_env(config, scenario), scenario) for _ in range(2)]
        models[0].learn(256)
        save_checkpoint(tmp_path, models[0], NOTES)
        assert load_checkpoint(tmp_path, models[1]) == NOTES
        assert models[1].num_timesteps == 256
        scales = [model.get_vec_normalize_env().ret_rms for model in models]
        assert scales[0].var == scales[1].var != 1.0
        for a, b in zip(*(m.policy.state_dict().values() for m in models), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=0)
        one, two = (m.policy.optimizer.state_dict()["state"] for m in models)
        assert len(one) == len(two) > 0
        for i, moments in one.items():
            for key, value in moments.items():
                torch.testing.assert_close(two[i][key], value, rtol=0, atol=0)

    def test_a_checkpoint_of_another_network_is_refused(self, configured, tmp_path):
        scenario = load_scenario(configured().scenario)
        configs = configured(), configured(net_arch=(8,))
        models = [make_model(config, make_env(config, scenario), scenario) for config in configs]
        models[0].learn(128)
        save_checkpoint(tmp_path, models[0], NOTES)
        with pytest.raises(ConfigError, match="this run: weights has an unknown key"):
            load_checkpoint(tmp_path, models[1])

    def test_the_first_policy_is_static(self, configured, tmp_path):
        scenario = load_scenario("bursty")
        config = configured(scenario="bursty")
        model = make_model(config, make_env(config, scenario), scenario)
        features = np.random.default_rng(0).random((50, 4, 23), np.float32)
        actions = numpy_policy(model, config, scenario).actions(features)
        np.testing.assert_allclose((actions + 1) / 2, 0.25, atol=0.02)


class TestPinned:
    def test_what_is_tuned_later_does_not_change_it(self):
        world = load_scenario("bursty")
        spec = pinned("demand", world)
        assert spec.startswith("demand:tuned=false,")
        tuned = make_allocator("demand")
        tuned.reset(world)
        assert make_allocator(spec).parameters() == tuned.parameters()
        assert tuned.parameters() != make_allocator("demand:tuned=false").parameters()

    @pytest.mark.parametrize("spec", ["", "static", "always_warm", "hpa:target=0.5"])
    def test_others(self, spec):
        world = load_scenario("bursty")
        again = pinned(spec, world)
        assert again.partition(":")[0] == spec.partition(":")[0]
        if spec == "hpa:target=0.5":
            assert "target=0.5," in again + ","
