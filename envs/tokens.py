"""A call's work from the tokens that a language model reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import checks
from .errors import ConfigError
from .kinds import construct


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Mean tokens of a call, and how fast one GPU goes through them (docs/platform.md).

    Attributes:
        prompt: Tokens that are read.
        output: Tokens that are written.
        prefill_per_s: Tokens that one GPU reads per second [1/s].
        decode_per_s: Tokens that one GPU writes per second, decoding with a full batch [1/s].

    Raises:
        TypeError: A value of the wrong type.
        ConfigError: A value out of its range.
    """

    prompt: float
    output: float
    prefill_per_s: float
    decode_per_s: float

    def __post_init__(self) -> None:
        checks.number("prompt", self.prompt, at_least=0)
        checks.number("output", self.output, at_least=0)
        checks.number("prefill_per_s", self.prefill_per_s, above=0)
        checks.number("decode_per_s", self.decode_per_s, above=0)
        checks.number("prompt/prefill_per_s + output/decode_per_s", self.gpu_seconds, above=0)

    @property
    def gpu_seconds(self) -> float:
        """Time that one GPU spends on a mean call, 1/T [s]."""
        return self.prompt / self.prefill_per_s + self.output / self.decode_per_s

    @property
    def throughput(self) -> float:
        """Calls of mean work that one GPU completes per second, T [1/s]."""
        return 1 / self.gpu_seconds

    @property
    def prefill(self) -> float:
        """Part of a mean call's time that goes into reading the prompt, in [0, 1]."""
        return self.prompt / self.prefill_per_s / self.gpu_seconds


def with_tokens(agent: Mapping[str, object], at: str) -> Mapping[str, object]:
    """Replace the key `tokens` of an agent, where it has it, by what it stands for.

    An agent without batched service makes no difference between reading and writing: it takes
    over the throughput alone.

    Raises:
        ConfigError: Tokens out of range, or keys beside them that they decide.
        TypeError: A value of the wrong type.
    """
    if "tokens" not in agent:
        return agent
    for key in ("throughput", "prefill"):
        if key in agent:
            raise ConfigError(
                f"{at}.{key} must not stand beside tokens, which decide it; remove it"
            )
    tokens = construct(Tokens, checks.mapping(f"{at}.tokens", agent["tokens"]), f"{at}.tokens")
    rest = {key: value for key, value in agent.items() if key != "tokens"}
    if agent.get("service") == "batched":
        rest["prefill"] = tokens.prefill
    return {**rest, "throughput": tokens.throughput}
