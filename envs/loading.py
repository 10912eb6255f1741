"""Strict reading of scenario files: unknown, missing and ill-typed keys are errors."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from . import checks
from .agent import Agent
from .errors import ConfigError, unknown_name
from .faults import build_faults
from .hardware import KEYS, with_hardware
from .population import with_population
from .spec import Scenario, Weights
from .tokens import with_tokens
from .workloads import build_workload

MAX_CONFIG_BYTES = 1_000_000
# Aliases let a short file stand for a content that no memory holds ("billion laughs").
MAX_CONFIG_NODES = 1_000_000
_given: dict[str, Scenario] = {}
TRACE_FILES = (".yaml", ".yml", ".csv")  # endings that tell somebody's own trace from a name


def read_yaml(path: Path | Traversable) -> Mapping[str, object]:
    """Read a YAML mapping; duplicate keys, other documents and oversized files are refused.

    Raises:
        ConfigError: The file cannot be read, is no YAML or holds no mapping.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} must be at most {MAX_CONFIG_BYTES} bytes, got more; split it")
    try:
        content = yaml.load(data, Loader=_StrictLoader)
    except Exception as error:  # PyYAML's conversions raise KeyError, RecursionError and others too
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} must hold a mapping of keys to values, got {content!r:.80}")
    return checks.mapping(str(path), content)


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's last duplicate key wins silently, 1e-3 is a text, aliases may grow without bound."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _size(node, {}) > MAX_CONFIG_NODES:
            raise yaml.YAMLError(f"its aliases stand for more than {MAX_CONFIG_NODES} values")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # unhashable: PyYAML's own error says so
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key.value!r} stands twice (line {line})")
            seen.add((key.tag, key.value))
        return node


# As YAML 1.2 has it: a number with an exponent needs neither a dot nor a sign.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the values below a node with every alias written out; inf for one inside itself."""
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known: met again, it holds itself
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = (c for part in parts for c in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_size(child, known) for child in children)
    return known[id(node)]


def shipped(folder: str) -> dict[str, Traversable]:
    """Return the YAML files of `configs/<folder>` by name without ending."""
    root = resources.files(f"{__package__.rsplit('.', 1)[0]}.configs") / folder
    entries = root.iterdir() if root.is_dir() else iter(())
    return {
        e.name[:-5]: e for e in sorted(entries, key=lambda e: e.name) if e.name.endswith(".yaml")
    }


def scenario_names() -> tuple[str, ...]:
    """Names of the scenarios that come with the package."""
    return tuple(shipped("scenarios"))


def load_scenario(name: str | Path) -> Scenario:
    """Load a shipped scenario by name, or anybody's from the path of a YAML file.

    A shipped scenario with a population takes its size in the name: `many-64` is `many` with 64
    agents.

    Raises:
        ConfigError: Unknown name, unreadable file, or a key or value that the file may not have.
        TypeError: A value of the wrong type.
    """
    if str(name) in _given:
        return _given[str(name)]
    if isinstance(name, Path) or str(name).endswith((".yaml", ".yml")) or "/" in str(name):
        path = Path(name)
        return parse_scenario(read_yaml(path), path.stem, folder=path.absolute().parent)
    known = shipped("scenarios")
    if name in known:
        return parse_scenario(read_yaml(known[name]), default_name=str(name))
    sized = _sized(str(name), known)
    if sized is None:
        raise unknown_name("scenario", name, known)
    return parse_scenario(sized, default_name=str(name))


@contextmanager
def given(scenarios: Mapping[str, Scenario]) -> Iterator[None]:
    """Let `load_scenario` answer with these: for work on a machine that lacks somebody's files."""
    before = dict(_given)
    _given.update(scenarios)
    try:
        yield
    finally:
        _given.clear()
        _given.update(before)


def is_scenario_name(name: str) -> bool:
    """Whether `load_scenario` knows a shipped scenario of this name."""
    known = shipped("scenarios")
    return name in known or _sized(name, known) is not None


def unsized(name: str) -> str:
    """Return the shipped scenario that a name with a size means, `many` for `many-64`.

    Every other name is returned as it is: `composite-80` is a scenario by itself.
    """
    known = shipped("scenarios")
    is_sized = name not in known and _sized(name, known) is not None
    return name.rpartition("-")[0] if is_sized else name


def _sized(name: str, known: Mapping[str, Traversable]) -> Mapping[str, object] | None:
    """Read `many-64` as scenario `many` with a population of 64."""
    stem, _, size = name.rpartition("-")
    if stem not in known or not re.fullmatch(r"[1-9]\d{0,8}", size):
        return None
    content = read_yaml(known[stem])
    if "population" not in content:
        return None
    population = checks.mapping("population", content["population"])
    return {**content, "population": {**population, "size": int(size)}}


def parse_scenario(
    content: Mapping[str, object], default_name: str = "custom", folder: Path | None = None
) -> Scenario:
    """Build a scenario from the mapping of a scenario file.

    Args:
        content: The mapping.
        default_name: Name of the scenario where the mapping has none.
        folder: Folder that the paths of traces are relative to; the current one by default.
    """
    if "population" in content:
        content = with_population(content)
    allowed = [f.name for f in fields(Scenario)]
    checks.keys("scenario", content, [*allowed, *KEYS, "description"], required=("agents",))
    values = {key: value for key, value in content.items() if key != "description"}
    values.setdefault("name", default_name)
    values["agents"] = _parse_agents(values["agents"])
    values = with_hardware(values)
    if "weights" in values:
        weights = checks.mapping("weights", values["weights"])
        checks.keys("weights", weights, [f.name for f in fields(Weights)])
        values["weights"] = Weights(**weights)  # type: ignore[arg-type]
    if "faults" in values:
        values["faults"] = build_faults(values["faults"])
    if values.get("workload") is not None:
        workload = checks.mapping("workload", values["workload"])
        values["workload"] = build_workload(_in_folder(workload, folder))
    return Scenario(**values)  # type: ignore[arg-type]


def _in_folder(content: Any, folder: Path | None) -> Any:
    """Return a workload's mapping with the paths of its traces put into a folder."""
    if isinstance(content, list):
        return [_in_folder(item, folder) for item in content]
    if not isinstance(content, Mapping) or folder is None:
        return content
    return {
        key: str(folder / value)
        if key == "trace" and isinstance(value, str) and value.endswith(TRACE_FILES)
        else _in_folder(value, folder)
        for key, value in content.items()
    }


def _parse_agents(content: object) -> tuple[Agent, ...]:
    if not isinstance(content, list):
        raise TypeError(f"agents must be a list of mappings, got {content!r}")
    allowed = [f.name for f in fields(Agent)]
    required = [f.name for f in fields(Agent) if f.default is MISSING]
    agents = []
    for position, entry in enumerate(content):
        at = f"agents[{position}]"
        values: Mapping[str, Any] = with_tokens(checks.mapping(at, entry), at)
        checks.keys(at, values, [*allowed, "tokens"], required)
        agents.append(Agent(**values))
    return tuple(agents)
