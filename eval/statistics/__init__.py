"""Intervals, tests, aggregates and power for what was measured on common tapes; docs/statistics.md.

The unit of resampling is the block, everywhere: tapes of one block are averaged first.
"""

from .aggregate import block_scores, interquartile_mean, iqm_interval, optimality_gap
from .components import Components, mean_squares, variance_components
from .crossed import crossed_difference
from .improvement import improvement_over_all_pairs, probability_of_improvement, wilson, wins
from .interval import (
    CONFIDENCE,
    ENOUGH_BLOCKS,
    LEAST_ROOM,
    Floats,
    Interval,
    block_means,
    paired_difference,
    score_interval,
    t_interval,
)
from .multiple import Comparison, compare_all, holm, paired_p_value, sign_flip_p_values
from .power import blocks_needed, detectable_difference, paired_power
from .profile import Profile, performance_profile
from .stratified import stratified_interval, studentised_interval
from .windows import windows_interval

__all__ = [
    "CONFIDENCE",
    "ENOUGH_BLOCKS",
    "LEAST_ROOM",
    "Comparison",
    "Components",
    "Floats",
    "Interval",
    "Profile",
    "block_means",
    "block_scores",
    "blocks_needed",
    "compare_all",
    "crossed_difference",
    "detectable_difference",
    "holm",
    "improvement_over_all_pairs",
    "interquartile_mean",
    "iqm_interval",
    "mean_squares",
    "optimality_gap",
    "paired_difference",
    "paired_p_value",
    "paired_power",
    "performance_profile",
    "probability_of_improvement",
    "score_interval",
    "sign_flip_p_values",
    "stratified_interval",
    "studentised_interval",
    "t_interval",
    "variance_components",
    "wilson",
    "windows_interval",
    "wins",
]
