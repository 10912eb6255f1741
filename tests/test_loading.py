"""Scenario files: what they may say, and every file that is refused, with the reason."""

from pathlib import Path
from typing import Any

import pytest

from slicegym.envs import Agent, ConfigError, Scenario, UnknownNameError, Weights, load_scenario
from slicegym.envs.loading import MAX_CONFIG_BYTES, parse_scenario, read_yaml, scenario_names
from slicegym.envs.workloads.compose import Streams

GOOD = "agents:\n  - {name: a, throughput: 1}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_full_file(path: Path) -> None:
    content = """
    description: anything
    agents:
      - {name: a, throughput: 2, min_share: 0.5, priority: 2, memory_mb: 3, footprint: 0.25,
         cold_start_s: 1, keep_alive_s: 2, concurrency: 3, queue_limit: 4}
      - {name: b, throughput: 1, footprint: null}
    gpus: 2
    interval_s: 0.5
    horizon_s: 30
    share_quantum: 0.01
    price_per_gpu_hour: 0.72
    reconfigure_s: 0.1
    pool_memory_mb: 16
    partition: null
    reference_rate: 5
    reference_latency_s: 4
    weights: {latency: 2, idle: 0.5}
    name: full
    workload: {kind: streams, streams: {a: {kind: poisson, rate: 1}, b: []}}
    """
    made = load_scenario(write(path, content))
    assert isinstance(made.workload, Streams)
    assert made == Scenario(
        agents=(Agent("a", 2, 0.5, 2, 3, 0.25, 1, 2, 3, 4), Agent("b", 1)),
        gpus=2,
        interval_s=0.5,
        horizon_s=30,
        share_quantum=0.01,
        price_per_gpu_hour=0.72,
        reconfigure_s=0.1,
        pool_memory_mb=16,
        reference_rate=5,
        reference_latency_s=4,
        weights=Weights(2, 1, 0.5),
        name="full",
        workload=made.workload,
    )
    assert load_scenario(str(path)) == made


def test_a_file_without_a_name_goes_by_its_own(path: Path) -> None:
    made = load_scenario(write(path, "\ufeff" + GOOD))
    assert made == Scenario((Agent("a", 1),), name="mine")


def test_numbers_with_exponents_need_neither_dot_nor_sign(path: Path) -> None:
    made = load_scenario(write(path, GOOD + "gpus: 1e1\ninterval_s: 5e-1\nhorizon_s: +1.E+2\n"))
    assert (made.gpus, made.interval_s, made.horizon_s) == (10.0, 0.5, 100.0)


def test_merge_keys(path: Path) -> None:
    agents = "agents:\n  - &a {name: a, throughput: 2, priority: 3}\n  - {<<: *a, name: b}\n"
    made = load_scenario(write(path, agents))
    assert made.agents == (Agent("a", 2, priority=3), Agent("b", 2, priority=3))


def test_shipped_names() -> None:
    assert {"paper", "bursty", "azure"} <= set(scenario_names())
    for name in scenario_names():
        assert load_scenario(name).name == name


BOMB = "x0: &x0 [l, l]\n" + "".join(
    f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "x0: &x0 {name: a}\n" + "".join(
    f"x{i}: &x{i} {{<<: [{', '.join([f'*x{i - 1}'] * 10)}]}}\n" for i in range(1, 12)
)
NESTED = "description:\n" + "".join(f"  {line}\n" for line in BOMB.splitlines())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "mine.yaml must hold a mapping of keys to values, got None"),
        ("- a\n", r"mine.yaml must hold a mapping of keys to values, got \['a'\]"),
        ("5", "must hold a mapping of keys to values, got 5"),
        ("gpus: 1\n", "scenario lacks the required key 'agents'; add it"),
        (GOOD + "gpuss: 1\n", r"scenario has an unknown key 'gpuss' \(did you mean 'gpus'\?\)"),
        (GOOD + "gpus: 1\ngpus: 2\n", r"mine.yaml is not valid YAML: the key 'gpus' stands twice"),
        ("agents: [{name: a, name: b}]\n", r"the key 'name' stands twice \(line 1\)"),
        (GOOD + "gpus: .nan\n", "gpus must be a finite number, got nan"),
        (GOOD + "gpus: -.inf\n", "gpus must be a finite number, got -inf"),
        (GOOD + "gpus: -1\n", "gpus must be greater than 0, got -1.0"),
        (GOOD + f"gpus: {'9' * 400}\n", "gpus must be a finite number, got inf"),
        (GOOD + f"gpus: {'9' * 5000}\n", "mine.yaml is not valid YAML: .*digits"),
        ("agents: []\n", "agents must hold 1 to 1048576 agents, got 0"),
        ("agents: [{name: a}]\n", r"agents\[0\] lacks the required key 'throughput'; add it"),
        ("agents: [{throughput: 1}]\n", r"agents\[0\] lacks the required key 'name'"),
        (
            "agents: [{name: a, throughput: 1, queue: 3}]\n",
            r"agents\[0\] has an unknown key 'queue' \(did you mean 'queue_limit'\?\)",
        ),
        ("agents: [{name: a, throughput: -1}]\n", "agent 'a': throughput must be greater than 0"),
        (GOOD + "weights: {latancy: 1}\n", r"weights has an unknown key 'latancy' \(did you mean"),
        (GOOD + "weights: {idle: -1}\n", "weights.idle must be at least 0, got -1.0"),
        (GOOD + "partition: migg\n", "partition must be one of mig, mig-a100, got .migg."),
        (GOOD + "workload: {}\n", "workload lacks the required key 'kind'"),
        (
            GOOD + "workload: {kind: strems}\n",
            r"workload.kind must be one of .*got 'strems' \(did you mean 'streams'\?\)",
        ),
        (
            GOOD + "workload: {kind: streams, streams: {aa: {kind: poisson, rate: 1}}}\n",
            r"workload.streams must name agents of scenario 'mine', got 'aa' \(did you mean 'a'",
        ),
        (
            GOOD + "workload: {kind: streams, streams: {}}\n",
            "workload.streams must name every agent of scenario 'mine', got none for 'a'; add it",
        ),
        (b"agents: \xff\xfe\n", "mine.yaml is not valid YAML: .*x00ff"),
        ("a\0b: 1\n", "mine.yaml is not valid YAML: .*x0000"),
        ("agents: [\n", "mine.yaml is not valid YAML: .*expected the node content"),
        ("\tagents: x\n", "mine.yaml is not valid YAML"),
        ("agents: *nobody\n", "mine.yaml is not valid YAML: found undefined alias"),
        (GOOD + "---\n" + GOOD, "mine.yaml is not valid YAML: expected a single document"),
        (GOOD + "gpus: !!python/object/apply:os.getcwd []\n", "is not valid YAML: .*os.getcwd"),
        (GOOD + "gpus: !!int abc\n", "mine.yaml is not valid YAML: .*'abc'"),
        (GOOD + "gpus: !!timestamp abc\n", "mine.yaml is not valid YAML"),
        (GOOD + "gpus: !!bool maybe\n", "mine.yaml is not valid YAML: 'maybe'"),
        (GOOD + "gpus: 2001-99-99\n", "mine.yaml is not valid YAML: month"),
        ("? [a]\n: b\n", "mine.yaml is not valid YAML: .*unhashable key"),
        (BOMB + "agents: *x11\n", "aliases stand for more than 1000000 values"),
        (NESTED + GOOD + "gpus: *x11\n", "aliases stand for more than 1000000 values"),
        (MERGES + "agents: [*x11]\n", "aliases stand for more than 1000000 values"),
        (BOMB + "? *x11\n: 1\n", "aliases stand for more than 1000000 values"),
        ("agents: &a [*a]\n", "aliases stand for more than 1000000 values"),
        (GOOD + "gpus: " + "[" * 600 + "]" * 600, "mine.yaml is not valid YAML: .*recursion"),
    ],
)
def test_refused_files(path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_scenario(write(path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("5: 1\n", "mine.yaml must have strings as keys, got the key 5"),
        ("agents:\n", "agents must be a list of mappings, got None"),
        ("agents: {a: 1}\n", "agents must be a list of mappings, got {'a': 1}"),
        ("agents: [a]\n", r"agents\[0\] must be a mapping of keys to values, got 'a'"),
        ("agents: [{name: no, throughput: 1}]\n", "agent.name must be a string, got False"),
        ("agents: [{name: a, throughput: fast}]\n", "throughput must be a number, got 'fast'"),
        ("agents: [{name: a, throughput:}]\n", "throughput must be a number, got None"),
        (GOOD + "gpus: '1'\n", r"gpus must be a number, got '1' \(str\)"),
        (GOOD + "gpus: yes\n", "gpus must be a number, got True"),
        (GOOD + "gpus: 2023-11-16\n", "gpus must be a number, got datetime.date"),
        (GOOD + "gpus: [1]\n", r"gpus must be a number, got \[1\] \(list\)"),
        (GOOD + "name: 5\n", r"name must be a string, got 5 \(int\)"),
        (GOOD + "weights:\n", "weights must be a mapping of keys to values, got None"),
        (GOOD + "weights: {idle: a}\n", "weights.idle must be a number, got 'a'"),
        (GOOD + "workload: paper\n", "workload must be a mapping of keys to values, got 'paper'"),
    ],
)
def test_wrong_types(path: Path, content: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        load_scenario(write(path, content))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("papr", r"unknown scenario 'papr' \(did you mean 'paper'\?\)"),
        ("paper-spke", "did you mean 'paper-spike'"),
        ("zzz", r"unknown scenario 'zzz' \(known: .*paper"),
        ("", r"unknown scenario '' \(known: "),
        (None, "unknown scenario None"),
    ],
)
def test_unknown_names(name: Any, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        load_scenario(name)


def test_files_that_are_not_there(path: Path) -> None:
    for missing in (path, str(path), "some/where", "nothing.yml"):
        with pytest.raises(ConfigError, match=f"cannot read {missing}: No such file"):
            load_scenario(missing)
    with pytest.raises(ConfigError, match=r"cannot read .*: Is a directory"):
        load_scenario(path.parent)


def test_oversized_files(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine.yaml must be at most 1000000 bytes, got"):
        load_scenario(write(path, b"#" * (MAX_CONFIG_BYTES + 1)))
    with pytest.raises(ConfigError, match="zero must be at most 1000000 bytes"):
        load_scenario(Path("/dev/zero"))  # which never ends
    assert load_scenario(write(path, f"{GOOD}# {'x' * 900_000}\n")).n_agents == 1


def test_aliases_in_moderation(path: Path) -> None:
    assert read_yaml(write(path, "a: &a [1, 2]\nb: [*a, *a]\n")) == {
        "a": [1, 2],
        "b": [[1, 2], [1, 2]],
    }


def test_parsing_leaves_the_mapping_as_it_was() -> None:
    content = {"agents": [{"name": "a", "throughput": 1}], "weights": {"idle": 0}}
    before = repr(content)
    assert parse_scenario(content).name == "custom"
    assert repr(content) == before
