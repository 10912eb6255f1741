"""What PPO trains: a network for the actions, another for the value, and the exploration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor, nn

from ..baselines.action_map import ACTION_MAPS
from ..baselines.policy.networks import NETWORKS
from ..envs.errors import ConfigError
from ..envs.observation import n_features
from ..envs.spec import Scenario
from .config import TrainConfig
from .networks import ACTORS, VALUES, present
from .outlook import columns


class Plan(NamedTuple):
    """What an `AllocationPolicy` is built from.

    Attributes:
        network: Kind of network.
        n_agents: N.
        n_features: Features of one agent that the value is told.
        n_inputs: Those that the actions are told, the base allocator's share included.
        n_outlook: Columns behind those of the agents, for the value alone.
        hidden: Sizes of the hidden layers.
        activation: After each of them.
        start: Actions of one agent that training starts from.
        log_std_init: Logarithm of the exploration's standard deviation at the start.
    """

    network: str
    n_agents: int
    n_features: int
    n_inputs: int
    n_outlook: int
    hidden: tuple[int, ...]
    activation: str
    start: tuple[float, ...]
    log_std_init: float

    @classmethod
    def of(cls, config: TrainConfig, worlds: Sequence[Scenario]) -> Plan:
        """Return what a configuration asks for in the scenarios that it trains on."""
        action, features = ACTION_MAPS[config.action], n_features(worlds[0])
        sizes = {world.n_agents for world in worlds}
        n_agents = max(sizes)
        if len(sizes) > 1 and not NETWORKS[config.network].any_agents:
            raise ConfigError(
                f"network must be equivariant where scenarios have {sorted(sizes)} agents, got "
                f"{config.network!r}"
            )
        return cls(
            config.network,
            n_agents,
            features,
            features + action.corrects,
            columns(n_agents) if config.outlook else 0,
            config.net_arch,
            config.activation,
            action.start(n_agents, config.start_share),
            config.log_std_init,
        )


class AgentsGaussian(DiagGaussianDistribution):
    """Independent Gaussian actions, of which those of agents that are not there do not count."""

    here: Tensor | None = None

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return the logarithm of the probability of each environment's actions, (B,)."""
        return self._sum(self.distribution.log_prob(actions))  # type: ignore[no-untyped-call]

    def entropy(self) -> Tensor:
        """Return the entropy of each environment's actions, (B,)."""
        return self._sum(self.distribution.entropy())  # type: ignore[no-untyped-call]

    def _sum(self, each: Tensor) -> Tensor:
        if self.here is not None:
            per_agent = each.shape[1] // self.here.shape[1]
            each = each * self.here.repeat_interleave(per_agent, 1)
        return each.sum(1)


class AllocationPolicy(ActorCriticPolicy):
    """Gaussian actions around a network's outputs, with a value network of its own.

    The first policy asks for the same whatever it sees. Without that each agent would ask for half
    of the pool: with three agents or more so much that the simulator's scaling hides what a single
    action changes. Agents share the deviations of their actions where they share the network.
    """

    def __init__(self, *args: Any, plan: Plan, **kwargs: Any) -> None:
        self._plan = plan
        self._width = plan.n_agents * plan.n_inputs
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        plan = self._plan
        outputs = len(plan.start)
        shape = (plan.n_agents, plan.n_inputs, plan.hidden, outputs, plan.activation)
        self.actor = ACTORS[plan.network](*shape)
        seen = (plan.n_agents, plan.n_features, plan.n_outlook)
        self.value = VALUES[plan.network](*seen, plan.hidden, plan.activation)
        for network, gain in ((self.actor, 0.01), (self.value, 1.0)):
            for name, module in network.named_modules():
                if isinstance(module, nn.Linear):
                    _begin(module, gain if name == "head" else 2.0**0.5)
        alike = plan.n_agents if plan.network == "mlp" else 1
        start = torch.tensor(plan.start).repeat(alike)
        with torch.no_grad():
            self.actor.get_parameter("head.bias").copy_(start)
        self.log_std = nn.Parameter(torch.full_like(start, plan.log_std_init))
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]
            **self.optimizer_kwargs,
        )

    def forward(self, obs: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions, values and logarithms of the actions' probabilities."""
        distribution = self.get_distribution(obs)
        actions = distribution.get_actions(deterministic=deterministic)
        return actions, self.predict_values(obs), distribution.log_prob(actions)

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values, logarithms of the actions' probabilities, and entropies."""
        distribution = self.get_distribution(obs)
        log_prob = distribution.log_prob(actions)
        return self.predict_values(obs), log_prob, distribution.entropy()

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Return values, (B, 1). What the base allocator would do, it need not be told."""
        assert isinstance(obs, Tensor)
        agents = self._agents(obs)[..., : self._plan.n_features]
        values: Tensor = self.value(agents, obs[:, self._width :])
        return values

    def get_distribution(self, obs: PyTorchObs) -> DiagGaussianDistribution:
        """Return the distribution of the actions."""
        agents = self._agents(obs)
        means = self.actor(agents)
        log_std = self.log_std.repeat(means.shape[1] // len(self.log_std))
        found = AgentsGaussian(means.shape[1]).proba_distribution(means, log_std)
        assert isinstance(found, AgentsGaussian)
        found.here = present(agents)
        return found

    def let_learn(self, learns: bool) -> None:
        """Let the actions learn, or the value alone."""
        for parameter in (*self.actor.parameters(), self.log_std):
            parameter.requires_grad_(learns)

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        actions: Tensor = self.get_distribution(observation).get_actions(deterministic)
        return actions

    def _agents(self, obs: PyTorchObs) -> Tensor:
        assert isinstance(obs, Tensor)
        return obs[:, : self._width].reshape(len(obs), self._plan.n_agents, -1)


def _begin(layer: nn.Linear, gain: float) -> None:
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:  # the context has none
        nn.init.zeros_(layer.bias)
