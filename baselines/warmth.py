"""The two ends of `demand`'s keep-warm timer: what knowing when to warm is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .base import register
from .demand import Demand

OTHERS = tuple(one for one in Demand.search_space if one.name != "keep_warm_s")


@register("always_warm")
@dataclass(eq=False)
class AlwaysWarm(Demand):
    """`demand` that loads every agent at the start and lets none go."""

    keep_warm_s: float = field(default=math.inf, init=False)
    search_space = OTHERS


@register("never_warm")
@dataclass(eq=False)
class NeverWarm(Demand):
    """`demand` that lets an agent go as soon as it has no calls: scale to zero."""

    keep_warm_s: float = field(default=0.0, init=False)
    search_space = OTHERS
