"""What checks accept, return and refuse."""

import numpy as np
import pytest

from slicegym.envs import ConfigError
from slicegym.envs.checks import array, integer, keys, listing, mapping, number, one_of, text


def test_checks_return_what_they_accept() -> None:
    assert number("x", np.float32(0.5), above=0, at_least=0.5, at_most=0.5) == 0.5
    assert integer("x", np.int32(3), at_least=3, at_most=3) == 3
    assert text("x", "word") == "word"
    assert one_of("x", "b", ("a", "b")) == "b"
    assert mapping("x", {"a": 1}) == {"a": 1}
    assert listing("x", (1, 2)) == (1, 2)
    values = np.zeros((2, 3))
    assert array("x", values, (2, 3), np.float64) is values
    keys("x", {"a": 1}, ("a", "b"), ("a",))


def test_checks_refuse() -> None:
    with pytest.raises(
        ConfigError, match=r"x must be one of apple, pear, got 'aple' \(did you mean"
    ):
        one_of("x", "aple", ("apple", "pear"))
    with pytest.raises(TypeError, match="x must have strings as keys, got the key 1"):
        mapping("x", {1: 2})
    with pytest.raises(TypeError, match=r"x must be an array, got \[1\] \(list\)"):
        array("x", [1], (1,), np.float64)
    with pytest.raises(ConfigError, match=r"x must have the shape \(2,\) .* got \(1, 2\) of float"):
        array("x", np.zeros((1, 2)), (2,), np.float64)
    with pytest.raises(ConfigError, match=r"hold int64, got .* of int32"):
        array("x", np.zeros(2, np.int32), (2,), np.int64)
    with pytest.raises(ConfigError, match="x must hold finite numbers"):
        array("x", np.array([1.0, np.inf]), (2,), np.float64)
    with pytest.raises(TypeError, match=r"x must be a list, got 'ab' \(str\)"):
        listing("x", "ab")
    with pytest.raises(ConfigError, match=r"x has an unknown key 'bb' \(did you mean 'b'\?\)"):
        keys("x", {"bb": 1}, ("a", "b"))
