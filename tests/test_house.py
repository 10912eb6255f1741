"""The order of the house: which room may import which, what is packaged, what is tracked by git."""

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each room imports only from itself and from those before it.
ROOMS = ("configs", "envs", "baselines", "eval", "train")
LEARNING_LIBRARIES = {"torch", "stable_baselines3"}
LARGEST_FILE = 1_000_000
LARGEST_DATA_FILE = 64_000
DATA_ENDINGS = (".csv", ".gz", ".jsonl", ".npz", ".parquet", ".pt", ".tar", ".xz", ".zip")

SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imported_modules(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Absolute dotted names that the source of `module` imports; `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                drop = node.level - 1 if is_package else node.level
                parent = parts[: len(parts) - drop]
                base = ".".join([*parent, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> list[str]:
    parts = ["slicegym", *path.relative_to(ROOT).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    return list(imported_modules(path.read_text(encoding="utf-8"), module, is_package))


def wrong_turns(room: str, names: list[str]) -> list[str]:
    """Imports that a file of `room` may not have."""
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = []
    for name in names:
        top, _, rest = name.partition(".")
        inner = rest.partition(".")[0]
        if top in ROOMS:
            wrong.append(f"{name}: the checkout's bare folder names do not exist once installed")
        elif top == "slicegym" and inner in ROOMS and inner not in allowed:
            wrong.append(f"{name}: {room} imports only from {', '.join(allowed)}")
        elif top in LEARNING_LIBRARIES and room != "train":
            wrong.append(f"{name}: only train may need the learning libraries")
    return wrong


def test_there_are_sources() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(ROOMS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    assert wrong_turns(path.relative_to(ROOT).parts[0], imports_of(path)) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_between_rooms_are_relative(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    absolute = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Import)
            and any(a.name.split(".")[0] == "slicegym" for a in node.names)
        )
        or (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and (node.module or "").split(".")[0] == "slicegym"
        )
    ]
    assert absolute == []


@pytest.mark.parametrize(
    ("room", "line", "is_wrong"),
    [
        ("baselines", "from ..envs.spec import Agent", False),
        ("baselines", "from .. import configs", False),
        ("baselines", "from .base import register", False),
        ("baselines", "import torchvision_lookalike", False),
        ("train", "import torch", False),
        ("envs", "from ..baselines import base", True),
        ("envs", "from .. import eval", True),
        ("baselines", "def f():\n    from ..train.ppo import run", True),
        ("baselines", "import torch.nn as nn", True),
        ("eval", "from stable_baselines3.common import utils", True),
        ("eval", "import envs.spec", True),
        ("eval", "from baselines import base", True),
        ("eval", "import slicegym.train", True),
    ],
)
def test_the_checks_see_what_they_should(room: str, line: str, is_wrong: bool) -> None:
    names = list(imported_modules(line, f"slicegym.{room}.example", is_package=False))
    assert bool(wrong_turns(room, names)) is is_wrong


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_tests_use_the_installed_names(path: Path) -> None:
    names = {name.split(".")[0] for name in imports_of(path)}
    assert names.isdisjoint(ROOMS)


def test_every_package_is_listed() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in SOURCES}
    found = {"slicegym", *("slicegym." + folder.replace("/", ".") for folder in folders)}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_mapped_and_linked(room: str) -> None:
    assert PYPROJECT["tool"]["setuptools"]["package-dir"][f"slicegym.{room}"] == room
    link = ROOT / "src" / "slicegym" / room
    assert link.resolve() == (ROOT / room).resolve(), "type checkers follow this link to the room"


def test_pinned_torch_is_the_one_in_the_constraints() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pin = [line for line in constraints if line.startswith("torch==")]
    assert len(pin) == 1
    assert pin[0] in PYPROJECT["project"]["optional-dependencies"]["train"]


def test_every_direct_dependency_has_a_known_version_and_a_reason() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    wanted = [
        *PYPROJECT["project"]["dependencies"],
        *(entry for extra in extras for entry in extra),
    ]
    names = {re.split(r"[\[<>=!~; ]", entry, maxsplit=1)[0] for entry in wanted} - {"slicegym"}
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(line.partition("==")[0]) for line in constraints if "==" in line}
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {name for name in names if normal(name) not in pinned} == set()
    assert {name for name in names if f"`{name}`" not in changelog} == set()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_no_large_file_is_tracked() -> None:
    large = {p.relative_to(ROOT).as_posix(): p.stat().st_size for p in tracked_files()}
    assert {name: size for name, size in large.items() if size > LARGEST_FILE} == {}


def test_no_trace_is_tracked() -> None:
    data = [
        p
        for p in tracked_files()
        if p.suffix in DATA_ENDINGS and p.stat().st_size > LARGEST_DATA_FILE
    ]
    assert data == []
    named = {"AzureLLMInferenceTrace", "conversation_trace.jsonl"}
    assert [p for p in tracked_files() if any(p.name.startswith(name) for name in named)] == []


def test_tapes_are_drawn_with_their_faults() -> None:
    # `workload.tape` knows nothing of a scenario's faults; `Scenario.tape` is the way to a tape.
    callers = [
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if "workload.tape(" in path.read_text(encoding="utf-8")
    ]
    assert callers == ["envs/spec.py"]
