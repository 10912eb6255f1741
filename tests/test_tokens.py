"""Tokens of a call: the throughput and the prefill that follow from them, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest

from slicegym.envs import Agent, ConfigError, Scenario
from slicegym.envs.loading import parse_scenario
from slicegym.envs.tokens import Tokens

from .builders import bad_numbers

TOKENS = {"prompt": 1200, "output": 300, "prefill_per_s": 4000, "decode_per_s": 1000}
TOKEN_NUMBERS = {
    "prompt": "at least 0",
    "output": "at least 0",
    "prefill_per_s": "greater than 0",
    "decode_per_s": "greater than 0",
}


def parse(*agents: dict[str, Any], **changes: Any) -> Scenario:
    return parse_scenario({"agents": list(agents), **changes})


def test_tokens_by_hand() -> None:
    # 1200/4000 = 0.3 s of reading and 300/1000 = 0.3 s of writing: 1/0.6 calls a second, half of it
    # prefill.
    tokens = Tokens(prompt=1200, output=300, prefill_per_s=4000, decode_per_s=1000)
    assert tokens.gpu_seconds == pytest.approx(0.6, rel=1e-15)
    assert tokens.throughput == pytest.approx(5 / 3, rel=1e-15)
    assert tokens.prefill == pytest.approx(0.5, rel=1e-15)


def test_tokens_that_are_only_read_or_only_written() -> None:
    reader = Tokens(prompt=500, output=0, prefill_per_s=2000, decode_per_s=1)
    writer = Tokens(prompt=0, output=500, prefill_per_s=1, decode_per_s=2000)
    assert (reader.throughput, reader.prefill) == (4.0, 1.0)
    assert (writer.throughput, writer.prefill) == (4.0, 0.0)


@pytest.mark.parametrize(("name", "value", "error", "message"), bad_numbers(TOKEN_NUMBERS))
def test_bad_tokens(name: str, value: Any, error: Any, message: str) -> None:
    fields = {"prompt": 1, "output": 1, "prefill_per_s": 1, "decode_per_s": 1, name: value}
    with pytest.raises(error, match=f"^{name} must be {message}"):
        Tokens(**fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": 0, "output": 0}, "greater than 0, got 0.0"),
        ({"prompt": 5e-324, "output": 0, "prefill_per_s": 1e308}, "greater than 0, got 0.0"),
        ({"prompt": 1e308, "prefill_per_s": 1e-308}, "a finite number, got inf"),
    ],
)
def test_tokens_that_take_no_time_or_for_ever(changes: dict[str, float], message: str) -> None:
    fields = {"prompt": 1, "output": 1, "prefill_per_s": 1, "decode_per_s": 1, **changes}
    with pytest.raises(
        ConfigError, match=rf"^prompt/prefill_per_s \+ output/decode_per_s must be {message}"
    ):
        Tokens(**fields)


def test_tokens_are_throughput_and_prefill() -> None:
    # 0.3 s of reading and 0.3 s of writing.
    (batched,) = parse(
        {"name": "a", "service": "batched", "tokens": TOKENS, "half_batch": 8}
    ).agents
    assert batched.throughput == pytest.approx(5 / 3)
    assert batched.prefill == pytest.approx(0.5)
    assert replace(batched, throughput=1, prefill=0) == Agent(
        "a", 1, service="batched", half_batch=8
    )


def test_tokens_without_batches_are_throughput_alone() -> None:
    for service in ({}, {"service": "fcfs"}):
        (agent,) = parse({"name": "a", "tokens": TOKENS, **service}).agents
        assert agent == Agent("a", agent.throughput)
        assert agent.throughput == pytest.approx(5 / 3)


def test_tokens_on_another_gpu() -> None:
    made = parse({"name": "a", "tokens": TOKENS}, pool={"gpu": "H100", "count": 1})
    assert made.throughput.tolist() == pytest.approx([5.58 * 5 / 3])


@pytest.mark.parametrize(
    ("agent", "error", "message"),
    [
        (
            {"tokens": TOKENS, "throughput": 2},
            ConfigError,
            r"agents\[0\]\.throughput must not stand beside tokens, which decide it; remove it",
        ),
        (
            {"tokens": TOKENS, "prefill": 0.5, "service": "batched"},
            ConfigError,
            r"agents\[0\]\.prefill must not stand beside tokens, which decide it; remove it",
        ),
        (
            {"tokens": None},
            TypeError,
            r"agents\[0\]\.tokens must be a mapping of keys to values, got None",
        ),
        (
            {"tokens": {"prompt": 1, "output": 1, "prefill_per_s": 1}},
            ConfigError,
            r"agents\[0\]\.tokens lacks the required key 'decode_per_s'; add it",
        ),
        (
            {"tokens": {**TOKENS, "outputs": 1}},
            ConfigError,
            r"agents\[0\]\.tokens has an unknown key 'outputs' \(did you mean 'output'\?\)",
        ),
        (
            {"tokens": {**TOKENS, "prefill_per_s": 0}},
            ConfigError,
            r"agents\[0\]\.tokens\.prefill_per_s must be greater than 0, got 0\.0",
        ),
        (
            {"tokens": {**TOKENS, "prompt": 0, "output": 0}},
            ConfigError,
            r"agents\[0\]\.tokens\.prompt/prefill_per_s \+ output/decode_per_s must be greater",
        ),
        (
            {"tokens": {**TOKENS, "prompt": True}},
            TypeError,
            r"agents\[0\]\.tokens\.prompt must be a number, got True",
        ),
        (
            {"token": TOKENS},
            ConfigError,
            r"agents\[0\] has an unknown key 'token' \(did you mean 'tokens'\?\)",
        ),
        (
            {"tokens": TOKENS, "half_batch": 8},
            ConfigError,
            "agent 'a': half_batch and prefill must be 0 unless service is 'batched', got 8 and 0;",
        ),
        (
            {"tokens": TOKENS, "service": "batchd"},
            ConfigError,
            r"agent 'a': service must be one of fcfs, batched, got 'batchd' \(did you mean",
        ),
        ({}, ConfigError, r"agents\[0\] lacks the required key 'throughput'; add it"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refused_tokens(agent: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        parse({"name": "a", **agent})
