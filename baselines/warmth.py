"""The two ends of `demand`'s keep-warm timer: what knowing when to warm is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from .base import register
from .demand import SEARCH_SPACE, Demand

OTHERS = tuple(one for one in SEARCH_SPACE if one.name != "keep_warm_s")


@register("always_warm")
class AlwaysWarm(Demand):
    """`demand` that loads every agent at the start and lets none go."""

    fixed: ClassVar[Mapping[str, float]] = {"keep_warm_s": math.inf}
    search_space = OTHERS


@register("never_warm")
class NeverWarm(Demand):
    """`demand` that lets an agent go as soon as it has no calls: scale to zero."""

    fixed: ClassVar[Mapping[str, float]] = {"keep_warm_s": 0.0}
    search_space = OTHERS
