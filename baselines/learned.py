from __future__ import annotations
import numpy as np


class ActionMap:
    pass


class Direct(ActionMap):
    def __init__(self, scenario):
        self.n_actions = scenario.n_agents

    def fractions(self, actions, observe):
        return (actions + 1.0) / 2.0
