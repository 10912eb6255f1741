"""Pictures of episodes, drawn from the series of results: areas are shares."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from slicegym.envs import ConfigError
from slicegym.envs.panels import COLOURS, OTHERS
from slicegym.eval.curves import picture
from slicegym.eval.results import EpisodeRecord

K = 20  # decisions of an episode


def area(shares):
    """Pixels of each agent's colour, of an agent with these shares for half of the time."""
    off = np.where(np.arange(K)[:, None] < K // 2, shares, 0.0)
    zero = np.zeros_like(off)
    agents = tuple(f"a${i}" for i in range(len(shares)))
    record = EpisodeRecord(
        np.zeros(101), 0, share=off, queue=zero, warm=zero, agents=agents
    )  # fmt: skip
    scenario = {"interval_s": 1.0, "horizon_s": K, "gpus": 4.0}
    png = picture.draw(record, scenario, "a $title that is no formula")
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=float)
    near = [np.abs(pixels - 255 * np.array(to_rgb(c))).max(axis=-1) < 6 for c in (*COLOURS, OTHERS)]
    return np.array([int(found.sum()) for found in near])


def test_areas_are_as_the_shares():
    legend = area((0.0, 0.0))
    few, more = area((1.0, 1.0)) - legend, area((1.0, 2.0)) - legend
    assert few[0] == pytest.approx(few[1], rel=0.05)
    assert more[1] == pytest.approx(2 * more[0], rel=0.05)


def test_of_many_agents_the_last_are_one():
    drawn = area((0.3,) * 12) - area((0.0,) * 12)
    each = drawn[:6].mean()  # ten rows of pixels, one more or less
    assert drawn[:6] == pytest.approx([each] * 6, rel=0.2)
    assert drawn[6] == pytest.approx(6 * each, rel=0.2)


def test_without_series_there_is_none():
    with pytest.raises(ConfigError, match="needs series, and none were kept"):
        picture.draw(EpisodeRecord(np.zeros(101), 0), {}, "")
