"""The installed wheel works, with its declared dependencies and nothing else."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .policies import write_policy

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
AT_THE_TOP = {"build", "dist", "runs", "results", "tests"}
ANYWHERE = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__")


def left_behind(folder: str, names: list[str]) -> set[str]:
    """Return what is no source; `eval/runs` is, and `runs` is not."""
    return ANYWHERE(folder, names) | (AT_THE_TOP & set(names) if Path(folder) == ROOT else set())


# Two calls of one task and one of another, as in the README.
TWO_TASKS = """
import numpy as np, sys
from slicegym.envs import Agent, Scenario, Tape, load_scenario, simulate
tape = Tape.from_calls(agent=[0, 1, 1], work=[1, 1, 1], release=[0.0, 0.0, 0.5],
                       task=[0, 0, 1], predecessors=[[], [0], []], horizon_s=10.0)
scenario = Scenario(agents=(Agent("a", throughput=10), Agent("b", throughput=5)),
                    gpus=1.0, interval_s=1.0, horizon_s=10.0)
run = simulate(scenario, tape, np.full((10, 2), 0.5))
assert np.allclose(run.released_at, [0.0, 0.2, 0.5]), run.released_at
assert np.allclose(run.completed_at, [0.2, 0.6, 1.0]), run.completed_at
assert run.rewards.shape == (10,)
assert load_scenario("paper").n_agents == 4
assert "torch" not in sys.modules
"""
ENVIRONMENT = """
import gymnasium as gym, slicegym
env = gym.make("slicegym/Paper-v0", split="train")
env.reset(seed=0)
env.step(env.action_space.sample())
assert "site-packages" in slicegym.__file__, slicegym.__file__
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside the checkout and return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stderr}"
    return done.stdout


def declared_dependencies(name: str) -> set[str]:
    """Distributions that installing `name` without extras brings along."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for text in importlib.metadata.requires(waiting.pop()) or ():
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            if requirement.name.lower() not in found:
                found.add(requirement.name.lower())
                waiting.append(requirement.name)
    return found


def link_distribution(name: str, site_packages: Path) -> None:
    """Make one of the libraries installed here visible in another environment."""
    distribution = importlib.metadata.distribution(name)
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        link = site_packages / top
        if not link.exists():
            link.symlink_to(Path(str(distribution.locate_file(top))))


def add_policy(source: Path) -> None:
    """Put a policy into the zoo, so that there is one."""
    folder = source / "configs" / "zoo" / "tiny"
    folder.parent.mkdir(exist_ok=True)
    write_policy(folder)
    for name in ("manifest.json", "card.md", "curves.png"):
        (folder / name).write_text("{}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an installer would."""
    work = tmp_path_factory.mktemp("build")
    source = work / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=left_behind)
    add_policy(source)
    build = "import setuptools.build_meta as b; print(b.build_{}('..'))"
    sdist = run(sys.executable, "-c", build.format("sdist"), cwd=source).splitlines()[-1]
    with tarfile.open(work / sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (unpacked,) = (work / "unpacked").iterdir()
    name = run(sys.executable, "-c", build.format("wheel"), cwd=unpacked).splitlines()[-1]
    return unpacked.parent / name


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the commands of an environment like that of `pip install slicegym`: no torch."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    commands = home / "bin"
    python = commands / "python"
    (site,) = home.glob("lib/python*/site-packages")
    for name in declared_dependencies("slicegym"):
        link_distribution(name, site)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, cwd=home)
    return commands


def test_wheel_holds_code_and_configs_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(wheel, tmp_path, "zip")
    files = {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    rooms = ("configs", "envs", "baselines", "eval", "train")
    shipped = {
        f"slicegym/{path.relative_to(ROOT).as_posix()}"
        for room in rooms
        for ending in ("py", "yaml", "json", "safetensors")
        for path in (ROOT / room).rglob(f"*.{ending}")
    }
    shipped |= {f"slicegym/{card.relative_to(ROOT)}" for card in ROOT.glob("configs/zoo/*/card.md")}
    tiny = ("policy.safetensors", "policy.json", "manifest.json", "card.md")
    shipped |= {f"slicegym/configs/zoo/tiny/{name}" for name in tiny}
    assert {name for name in files if name.startswith("slicegym/")} == shipped | {
        "slicegym/__init__.py",
        "slicegym/py.typed",
    }
    assert {name.split("/")[0].split("-")[0] for name in files} == {"slicegym"}


def test_import_needs_no_learning_library(installed: Path, tmp_path: Path) -> None:
    probe = "from importlib.util import find_spec as f; print(f('torch'), f('stable_baselines3'))"
    assert run(installed / "python", "-c", probe, cwd=tmp_path).strip() == "None None"
    run(installed / "python", "-W", "error", "-c", "import slicegym", cwd=tmp_path)


def test_two_tasks_are_simulated(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-W", "error", "-c", TWO_TASKS, cwd=tmp_path)


def test_environment_is_registered(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-W", "error", "-c", ENVIRONMENT, cwd=tmp_path)


def test_shipped_policies_are_found(installed: Path, tmp_path: Path) -> None:
    probe = (
        "from slicegym.baselines.learned import load_policy; "
        "from slicegym.baselines.zoo import policies, zoo_folder; "
        "print(load_policy(policies(zoo_folder())['tiny']).header.network)"
    )
    assert run(installed / "python", "-W", "error", "-c", probe, cwd=tmp_path).strip() == "mlp"


def test_command_lists_what_is_shipped(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run(installed / "slicegym-eval", "list", "--json", "-", cwd=tmp_path))
    assert {"static", "round_robin", "adaptive", "demand"} <= {
        a["name"] for a in listed["allocators"]
    }
    assert {"paper", "bursty", "azure"} <= set(listed["scenarios"])
    assert {"paper-train", "azure-heldout"} <= set(listed["suites"])


def test_command_reproduces_the_paper(installed: Path, tmp_path: Path) -> None:
    table = json.loads(run(installed / "slicegym-eval", "paper", "--json", "-", cwd=tmp_path))
    assert table["static"]["queue_latency_s"] == pytest.approx(110.26, rel=1e-3)
    assert table["adaptive"]["queue_latency_s"] == pytest.approx(111.93, rel=1e-3)


def test_training_without_its_extra_says_what_to_install(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "slicegym-train", "anything.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "slicegym[train]" in done.stderr
    assert "Traceback" not in done.stderr
