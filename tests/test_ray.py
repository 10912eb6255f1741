"""The engine on Ray: real clusters of two nodes, and losses in the middle of a run."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.eval.engines import contract, make_engine
from slicegym.eval.engines import on_ray as ray_engine
from slicegym.eval.session import evaluate

from .test_run_resume import everything

pytest.importorskip("ray")

# Many short jobs, and a loss in the first of them: far from the end on a fast machine too.
SUITE = """
parts:
  - {scenario: bursty, split: train, episodes: 16}
  - {scenario: workflow, split: train, episodes: 16}
  - {scenario: pool, split: train, episodes: 16}
"""
SPECS = ["static", "demand", "keda", "hpa", "cmu", "predictive", "histogram", "fair"]
GO = "from slicegym.eval.cli import main; main()"


class TestContract:
    def test_the_same_code_is_taken(self):
        contract.refuse_other_worker(contract.contract())

    @pytest.mark.parametrize("name", ["slicegym", "python", "numpy", "numba", "scipy"])
    def test_another_version_is_refused(self, name):
        wanted = contract.contract() | {name: "9.9"}
        with pytest.raises(ConfigError, match=f"must have {name} 9.9, as the command has"):
            contract.refuse_other_worker(wanted)

    def test_a_trace_that_is_absent_or_another_is_refused(self, monkeypatch, tmp_path):
        mine = tmp_path / "mine.csv"
        wanted = contract.contract({str(mine): "0" * 64})
        with pytest.raises(ConfigError, match=r"the worker on .* must have the trace .*mine.csv"):
            contract.refuse_other_worker(wanted)
        monkeypatch.setattr(contract, "trace_sum", lambda name: "1" * 64)
        with pytest.raises(ConfigError, match=f"with sha256 {'0' * 64}, and has {'1' * 64}"):
            contract.refuse_other_worker(contract.contract({"another": "0" * 64}))

    def test_every_file_of_the_code_counts(self):
        names = [name for name, _ in contract._files(contract.resources.files("slicegym"), "")]
        for name in ("envs/kernel/compile.py", "configs/scenarios/paper.yaml", "eval/session.py"):
            assert name in names
        assert len(set(names)) == len(names)


class TestRefusals:
    def test_ray_is_not_installed(self, cli, monkeypatch, tmp_path):
        monkeypatch.setattr(ray_engine.importlib.util, "find_spec", lambda name: None)
        out = tmp_path / "out"
        run = ("run", "--suite", "paper-train", "--no-bound", "--engine", "ray", "--out", out)
        status, text, err = cli(*run)
        assert (status, text) == (2, "")
        assert "--engine ray needs Ray, not installed here: pip install 'slicegym[ray]'" in err
        assert not out.exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--engine", "rya"), "unknown engine 'rya' (did you mean 'ray'?)"),
            (("--ray-address", "a:1"), "--ray-address goes with --engine ray"),
            (("--engine", "ray", "--ray-address", "here"), "must be HOST:PORT or auto, got 'here'"),
            (("--engine", "ray", "--ray-address", "a:99999"), "must be HOST:PORT or auto"),
            (("--engine", "ray", "--ray-address", "ray://a:1"), "must be HOST:PORT or auto"),
        ],
    )
    def test_flags(self, cli, arguments, message):
        status, text, err = cli("run", "--suite", "paper-train", "--no-bound", *arguments)
        assert (status, text) == (2, "")
        assert message in err
        assert err.count("\n") == 1

    def test_nothing_listens_at_the_address(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"none answers at 127.0.0.1:{port}"):
            make_engine("ray", 1, f"127.0.0.1:{port}")

    @pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    def test_something_else_listens_there(self, reply, monkeypatch):
        monkeypatch.setattr(ray_engine, "PROBE_S", 0.3)
        with socket.create_server(("127.0.0.1", 0)) as server:
            if reply:
                threading.Thread(target=_reply, args=(server, reply), daemon=True).start()
            with pytest.raises(ConfigError, match="must be that of a running Ray cluster"):
                make_engine("ray", 1, f"127.0.0.1:{server.getsockname()[1]}")


def _reply(server: socket.socket, reply: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(64)
        connection.sendall(reply)


class Cluster:
    """Two nodes of a core each on this machine; the command runs at the first."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        own = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        self._own = own
        self._nodes = Nodes(
            initialize_head=True, head_node_args={**own, "include_dashboard": False}
        )
        self.second = self._nodes.add_node(**own)

    @property
    def address(self) -> str:
        return str(self._nodes.address)

    def lose_second(self) -> None:
        self._nodes.remove_node(self.second, allow_graceful=False)

    def restore(self) -> None:
        self.second = self._nodes.add_node(**self._own)

    def workers(self) -> list[int]:
        """Processes of the raylets that are at a job."""
        nodes = [self._nodes.head_node, self.second]
        raylets = {str(node.all_processes["raylet"][0].process.pid) for node in nodes}
        found = []
        for path in Path("/proc").iterdir():
            try:
                parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
                if parent in raylets and is_at_a_job(int(path.name)):
                    found.append(int(path.name))
            except (OSError, IndexError, ValueError):
                continue
        return found

    def close(self) -> None:
        self._nodes.shutdown()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    two = Cluster()
    yield two
    two.close()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("suite") / "mine.yaml"
    path.write_text(SUITE)
    return str(path)


@pytest.fixture(scope="module")
def whole(suite: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process of this machine finds."""
    out = tmp_path_factory.mktemp("whole") / "out"
    evaluate(suite, SPECS, None, out, bound=False, quiet=True)
    return everything(out)


def begin(suite: str, out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = ["run", "--suite", suite, "--allocators", ",".join(SPECS), "--no-bound"]
    return subprocess.Popen(
        [sys.executable, "-c", GO, *command, "--engine", "ray", "--out", str(out), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_rows(out: Path, n: int, process: subprocess.Popen[str]) -> None:
    """Wait until a run has written so many rows."""
    deadline = time.monotonic() + 300
    while not (out / "rows.csv").exists() or (out / "rows.csv").read_bytes().count(b"\n") <= n:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


MOMENTS = [1, 30, 60]  # rows of the 384 that are written then, and a little later


@pytest.mark.slow
class TestLosses:
    @pytest.mark.parametrize("n_rows", MOMENTS)
    def test_of_a_worker(self, cluster, suite, whole, tmp_path, n_rows):
        process = begin(suite, tmp_path / "out", "--ray-address", cluster.address)
        wait_for_rows(tmp_path / "out", n_rows, process)
        time.sleep(random.Random(n_rows).uniform(0.0, 0.2))
        while not (working := cluster.workers()):
            assert process.poll() is None
        os.kill(working[0], signal.SIGKILL)
        _, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, "")
        assert everything(tmp_path / "out") == whole

    @pytest.mark.parametrize("n_rows", MOMENTS)
    def test_of_a_node(self, cluster, suite, whole, tmp_path, n_rows):
        process = begin(suite, tmp_path / "out", "--ray-address", cluster.address)
        wait_for_rows(tmp_path / "out", n_rows, process)
        time.sleep(random.Random(n_rows).uniform(0.0, 0.2))
        cluster.lose_second()
        try:
            assert process.poll() is None
            _, err = process.communicate(timeout=300)
        finally:
            cluster.restore()
        assert (process.returncode, err) == (0, "")
        assert everything(tmp_path / "out") == whole

    @pytest.mark.parametrize("n_rows", MOMENTS)
    def test_of_the_driver(self, cluster, suite, whole, tmp_path, n_rows):
        process = begin(suite, tmp_path / "out", "--ray-address", cluster.address)
        wait_for_rows(tmp_path / "out", n_rows, process)
        process.kill()
        process.communicate(timeout=60)
        kept = (tmp_path / "out" / "rows.csv").read_bytes()
        kept = kept[: kept.rfind(b"\n") + 1]
        assert (tmp_path / "out" / "UNFINISHED").exists()
        again = begin(suite, tmp_path / "out", "--resume", "--ray-address", cluster.address)
        _, err = again.communicate(timeout=300)
        assert (again.returncode, err) == (0, "")
        assert (tmp_path / "out" / "rows.csv").read_bytes().startswith(kept)
        assert everything(tmp_path / "out") == whole


@pytest.mark.slow
class TestOneMachine:
    @pytest.mark.parametrize("kind", ["SIGINT", "SIGKILL"])
    def test_a_run_that_is_cut_leaves_no_process_and_goes_on(self, suite, whole, tmp_path, kind):
        process = begin(suite, tmp_path / "out", "--jobs", "2")
        wait_for_rows(tmp_path / "out", 8, process)
        children = descendants(process.pid)
        at_work = set(filter(is_at_a_job, children))
        assert at_work
        process.send_signal(getattr(signal, kind))
        _, err = process.communicate(timeout=60)
        if kind == "SIGINT":
            assert (process.returncode, err) == (130, "slicegym-eval: interrupted\n")
        else:  # two helpers of Ray's own need a minute to see that they are alone
            children = at_work
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{child}").exists() for child in children):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        evaluate(suite, SPECS, None, tmp_path / "out", bound=False, quiet=True, resume=True)
        assert everything(tmp_path / "out") == whole

    def test_an_error_of_a_job_is_raised_here_and_a_lost_one_named(self):
        with make_engine("ray", 2) as engine:
            assert engine.jobs == 2
            assert list(engine.map(pow, [(2, 2), (3, 2)], shared=(5,))) == [4, 4]
            with pytest.raises(ValueError, match="invalid literal") as raised:
                list(engine.map(int, [("1",), ("x",)]))
            assert "answer" in raised.value.__notes__[0]
            with pytest.raises(ChildProcessError, match="ended from outside 4 times"):
                list(engine.map(os._exit, [(1,)]))
            with pytest.raises(ConfigError, match="must have the trace 'nowhere'"):
                list(engine.map(pow, [(2, 2)], traces={"nowhere": "0" * 64}))

    def test_a_worker_with_other_code_is_refused(self, monkeypatch):
        other = contract.contract() | {"slicegym": "9.9"}
        monkeypatch.setattr(ray_engine, "contract", lambda traces: other)
        with (
            make_engine("ray", 1) as engine,
            pytest.raises(ConfigError, match=r"must have slicegym 9\.9"),
        ):
            list(engine.map(pow, [(2, 2)]))

    def test_tuning_finds_the_same(self, cli, tmp_path):
        found = []
        for engine in ("local", "ray"):
            (tmp_path / engine).mkdir()
            names = ("--scenario", "paper,bursty", "--allocator", "cmu,keda", "--jobs", 2)
            effort = ("--trials", 3, "--tapes", 2, "--engine", engine)
            assert cli("tune", *names, *effort, "--out", tmp_path / engine)[0] == 0
            found.append({path.name: path.read_text() for path in (tmp_path / engine).iterdir()})
        assert found[0] == found[1]


def is_at_a_job(pid: int) -> bool:
    try:
        return b"ray::job" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def descendants(pid: int) -> set[int]:
    """Return the processes that a process and its children have started."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(path.name))
            except (OSError, IndexError):
                continue
    found, todo = set[int](), [pid]
    while todo:
        for child in parents.get(todo.pop(), []):
            found.add(child)
            todo.append(child)
    return found
