"""What a zoo's card says of seeds and rivals, from raw rows by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from slicegym.train.zoo import build, words
from slicegym.train.zoo.compare import closed, compare, differences, losses
from slicegym.train.zoo.picture import limits


def rows(name, rewards, **more):
    """Two tapes in block a, one in b."""
    values = {"latency_term": 0.0, "cost_term": 0.0, "idle_term": 0.0, "completed": 1}
    values |= {"cost_usd": 1.0, "little_latency_s": 1.0, "utilization": 0.5, "decision_us": 1.0}
    return [
        {
            **{"allocator": name, "scenario": "s", "tape": tape, "seed": 0, "block": block},
            **{"reward": reward, "weights": {}, **values, **more},
        }
        for tape, block, reward in zip("123", "aab", rewards, strict=True)
    ]


class TestComparison:
    def test_by_hand(self):
        # Blocks: seed x −1, −4; seed y −2, −2; rivals r −2, −3.5 and q −3, −3.
        played = [
            *rows("x", [-1.0, -1.0, -4.0]),
            *rows("y", [-3.0, -1.0, -2.0]),
            *rows("r", [-2.0, -2.0, -3.5]),
            *rows("q", [-3.0, -3.0, -3.0]),
        ]
        found = compare(played, ["x", "y"], ["r", "q"], "x")
        assert found["allocators"]["ppo"]["reward"] == -2.25
        assert found["best_rival"] == "r"
        assert (found["episodes"], found["blocks"], found["bound"]) == (3, 2, None)
        against = found["against"]["r"]
        # Blocks of the difference: (1 + 0)/2 and (−0.5 + 1.5)/2.
        assert (against["mean"], against["low"], against["high"]) == (0.5, 0.5, 0.5)
        assert against["closed"] is None
        assert against["shipped"]["mean"] == 0.25
        assert found["losses"] == []

    def test_differences_are_of_seeds_and_blocks(self):
        seeds = [rows("x", [-1.0, -1.0, -4.0]), rows("y", [-3.0, -1.0, -2.0])]
        found = differences(seeds, rows("r", [-2.0, -2.0, -3.5]))
        assert found.tolist() == [[1.0, -0.5], [0.0, 1.5]]

    def test_other_tapes_are_not_compared(self):
        other = rows("r", [0.0, 0.0, 0.0], tape="x")
        with pytest.raises(ValueError, match="same tapes in the same order"):
            differences([rows("x", [0.0, 0.0, 0.0])], other)

    def test_blocks_that_are_lost_come_worst_first(self):
        table = np.array([[1.0, -2.0, -1.0], [-0.5, -4.0, 0.0]])
        assert losses(table, ["a", "b", "c"]) == [
            {"block": "b", "difference": -3.0, "seeds_behind": 2},
            {"block": "c", "difference": -0.5, "seeds_behind": 1},
        ]

    @pytest.mark.parametrize(
        ("reward", "rival", "bound", "part"),
        [
            *((-1.5, -2.0, -1.0, 0.5), (-2.5, -2.0, -1.0, -0.5)),
            *((-1.0, -1.0, -1.0, None), (-1.0, -2.0, None, None)),
        ],
    )
    def test_the_part_of_the_distance(self, reward, rival, bound, part):
        assert closed(reward, rival, bound) == part

    @pytest.mark.parametrize(
        ("low", "high", "note", "said"),
        [
            (0.1, 0.2, "", "better"),
            (-0.2, -0.1, "", "worse"),
            (-0.1, 0.1, "", "undecided"),
            (0.1, 0.2, "3 blocks: indicative", "better (indicative)"),
            (None, None, "one block: no interval", "undecided"),
        ],
    )
    def test_verdicts(self, low, high, note, said):
        assert words.verdict({"mean": 0.1, "low": low, "high": high, "note": note}) == said

    def test_the_seed_is_chosen_by_validation(self):
        seeds = [SimpleNamespace(reward=reward) for reward in (-2.0, -1.0, -1.0)]
        assert build.choose(seeds) is seeds[1]

    def test_the_axis_shows_the_upper_rivals_and_every_end(self):
        seeds = [
            SimpleNamespace(curve=[(0, -9.0), (1, -3.0)], reward=-2.0),
            SimpleNamespace(curve=[(0, -9.0), (1, -2.5)], reward=-1.0),
        ]
        low, high = limits(seeds, [-40.0, -2.2, -1.5])
        assert (low, high) == pytest.approx((-3.0 - 0.16, -1.0 + 0.16))
