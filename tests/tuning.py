"""A stand-in for training whose rewards are known, shared by the tests of tuning."""

import math
from types import SimpleNamespace


class Script:
    """Stands for training: its rewards are known, by configuration, run and timesteps."""

    def __init__(self, reward, cut_at=None):
        self.reward, self.cut_at, self.runs, self.told = reward, cut_at, [], []

    def __call__(self, config, folder, *, quiet, report):
        self.runs.append(config)
        self.told.append([])
        moments = range(0, config.total_timesteps + 1, config.eval_every)
        rewards = [self.reward(config, len(self.runs), t) for t in moments]
        for timesteps, reward in zip(moments, rewards, strict=True):
            self.told[-1].append(timesteps)
            if self.cut_at == (len(self.runs), timesteps):
                raise KeyboardInterrupt
            report(timesteps, reward)
        return SimpleNamespace(best={"reward": max(rewards)})


def hill(config, run, timesteps):
    """Best at a learning rate of 1e-3, γ 0.98 and four epochs; learning takes its time."""
    return (
        -(math.log10(config.learning_rate / 1e-3) ** 2)
        - 10 * abs(config.gamma - 0.98)
        - 0.1 * abs(config.n_epochs - 4)
        - 1 / (1 + timesteps)
    )
