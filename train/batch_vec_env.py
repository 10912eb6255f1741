"""What batches of environments have in common behind stable-baselines3's interface."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices


class BatchVecEnv(VecEnv):
    """A `VecEnv` that is one simulator rather than many environments, and can be resumed."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what `restore` needs: arrays, values that JSON has, mappings of both."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> NDArray[np.float32]:
        """Go on where `state` was taken and return the observation, as `reset` does."""

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Refuse: there are no single environments to call.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"cannot call {method_name!r} on single environments: the batch is one simulator; "
            "use its own methods through `.envs`, or a SliceEnv"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Say no for each: nothing wraps the environments of the batch."""
        return [False for _ in self._chosen(indices)]

    def _chosen(self, indices: VecEnvIndices) -> Sequence[int]:
        chosen: int | Iterable[int] = self._get_indices(indices)
        return [chosen] if isinstance(chosen, int) else list(chosen)
