"""Strict reading of scenario files: unknown, missing and ill-typed keys are errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import yaml

from . import checks
from .errors import ConfigError, unknown_name
from .spec import Agent, Scenario, Weights
from .workloads import build_workload

MAX_CONFIG_BYTES = 4_000_000


def read_yaml(path: Path | Traversable) -> Mapping[str, object]:
    """Read a YAML mapping; duplicate keys, other documents and oversized files are refused.

    Raises:
        ConfigError: The file cannot be read, is no YAML or holds no mapping.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} must be at most {MAX_CONFIG_BYTES} bytes, got {len(data)}")
    try:
        content = yaml.load(data, Loader=_StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path} must hold a mapping of keys to values, got {content!r:.80}")
    return checks.mapping(str(path), content)


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML's last duplicate key wins silently; here it is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                continue  # unhashable: the parent's own error says so
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} stands twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep)


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

    Raises:
        ConfigError: Unknown name, unreadable file, or a key or value that the file may not have.
        TypeError: A value of the wrong type.
    """
    if isinstance(name, Path) or str(name).endswith((".yaml", ".yml")) or "/" in str(name):
        path = Path(name)
        return parse_scenario(read_yaml(path), default_name=path.stem)
    known = shipped("scenarios")
    if name not in known:
        raise unknown_name("scenario", name, known)
    return parse_scenario(read_yaml(known[name]), default_name=name)


def parse_scenario(content: Mapping[str, object], default_name: str = "custom") -> Scenario:
    """Build a scenario from the mapping of a scenario file."""
    allowed = [f.name for f in fields(Scenario)]
    checks.keys("scenario", content, [*allowed, "description"], required=("agents",))
    values = {key: value for key, value in content.items() if key != "description"}
    values.setdefault("name", default_name)
    values["agents"] = _parse_agents(values["agents"])
    if "weights" in values:
        weights = checks.mapping("weights", values["weights"])
        checks.keys("weights", weights, [f.name for f in fields(Weights)])
        values["weights"] = Weights(**weights)  # type: ignore[arg-type]
    if values.get("workload") is not None:
        values["workload"] = build_workload(checks.mapping("workload", values["workload"]))
    return Scenario(**values)  # type: ignore[arg-type]


def _parse_agents(content: object) -> tuple[Agent, ...]:
    if not isinstance(content, list):
        raise TypeError(f"agents must be a list of mappings, got {content!r}")
    allowed = [f.name for f in fields(Agent)]
    required = [f.name for f in fields(Agent) if f.default is MISSING]
    agents = []
    for position, entry in enumerate(content):
        at = f"agents[{position}]"
        checks.keys(at, checks.mapping(at, entry), allowed, required)
        agents.append(Agent(**entry))
    return tuple(agents)
