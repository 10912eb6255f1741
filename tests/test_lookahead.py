"""Warming agents for calls that are still with their predecessors."""

import pytest

from slicegym.baselines import make_allocator
from slicegym.envs import Agent, Scenario, Tape, simulate

from .observations import seen


def allocate(spec, scenario, **columns):
    return make_allocator(spec).allocate(seen(scenario, **columns))


class TestLookahead:
    def test_calls_on_their_way_wake_a_cold_agent(self):
        agents = (Agent("a", 2, cold_start_s=9, footprint=0.25),)
        scenario = Scenario(agents, share_quantum=0.01)
        columns = {"ready_in_s": 9, "idle_s": 100}
        spec = "lookahead:foresight=0.5,wake=0.2"
        assert allocate(spec, scenario, upstream=0.4, **columns).tolist() == [0.01]
        assert allocate(spec, scenario, upstream=0.3, **columns).tolist() == [0.0]

    def test_the_share_is_sized_for_both(self):
        # (20 + 0.5·10)/(5·2); with one call in sight the footprint
        scenario = Scenario((Agent("a", 2, footprint=0.25),), gpus=4.0)
        spec = "lookahead:foresight=0.5,drain_s=5"
        assert allocate(spec, scenario, queue=20, upstream=10, warm=1)[0] == pytest.approx(2.5)
        assert allocate(spec, scenario, upstream=1, warm=1)[0] == 0.25

    def test_a_cold_start_is_hidden_behind_the_predecessor(self):
        # a serves 4 s, b loads 3 s. Seen ahead, b is warm at 3 and serves from 4 to 5; else it
        # loads from 4 to 7 and serves from 7 to 8.
        agents = (Agent("a", throughput=1), Agent("b", throughput=1, cold_start_s=3))
        scenario = Scenario(agents, gpus=2.0, horizon_s=9.0)
        tape = Tape.from_calls(
            [0, 1], [4, 1], [0.0, 0.0], predecessors=[[], [0]], task=[0, 0],
            routing=[[0, 1], [0, 0]], horizon_s=9.0,
        )  # fmt: skip
        ends = []
        for foresight in (1, 0):
            spec = f"lookahead:foresight={foresight},headroom=0,drain_s=1"
            ends.append(simulate(scenario, tape, make_allocator(spec)).completed_at[1])
        assert ends == [5.0, 8.0]
