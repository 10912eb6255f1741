"""What all tests share: no network, one hypothesis profile, and a loud word on absent traces."""

import ipaddress
import signal
import socket
from functools import lru_cache
from typing import Any

import hypothesis
import pytest
import yaml

from slicegym.envs.traces import trace_names, trace_status
from slicegym.eval.cli import main

from . import training, tuning

# The first example of a test may compile the kernel, so a deadline would measure the wrong thing.
hypothesis.settings.register_profile("slicegym", deadline=None, print_blob=True)
hypothesis.settings.load_profile("slicegym")

connect = socket.socket.connect

# A background job of a plain shell ignores Ctrl-C, and whatever it starts inherits that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `slicegym-eval` in this process: exit status, stdout, stderr."""

    def run(*arguments: Any) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    return run


@pytest.fixture(scope="session")
def scenario_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the scenario that training is tried on."""
    path = tmp_path_factory.mktemp("scenario") / "small.yaml"
    path.write_text(yaml.safe_dump(training.SCENARIO))
    return str(path)


@pytest.fixture(scope="session")
def configured(scenario_file: str) -> Any:
    """Make configurations of a small training run, changed as asked."""
    from slicegym.train.config import TrainConfig  # which needs what training alone installs

    def make(**changes: Any) -> Any:
        return TrainConfig(**{"scenario": scenario_file, **training.TINY, **changes})

    return make


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make tuning train by a script in place of PPO."""
    from slicegym.train import tune

    def write(*arguments: Any) -> tuning.Script:
        played = tuning.Script(*arguments)
        monkeypatch.setattr(tune, "train", played)
        return played

    return write


@pytest.fixture
def refuse(cli: Any) -> Any:
    """Run what must be refused and return the one line that says why."""

    def run(*arguments: Any) -> str:
        status, out, err = cli(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("slicegym-eval: error: ")
        assert err.count("\n") == 1
        return str(err)

    return run


def connect_locally(self: socket.socket, address: Any) -> None:
    """Connect as usual on this machine, and nowhere else."""
    if self.family in (socket.AF_INET, socket.AF_INET6) and not is_local(address[0]):
        self.close()
        pytest.fail(f"a test tried to reach {address[0]}: tests need no network")
    connect(self, address)


def is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that reaches for the network."""
    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@lru_cache
def is_absent(trace: str) -> bool:
    """Whether a trace's file is nowhere; one that is there and damaged shall fail its tests."""
    return trace_status(trace).path is None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `traces("name")`, or `traces` for all of them, whose files are absent."""
    for item in items:
        for mark in item.iter_markers("traces"):
            absent = [name for name in mark.args or trace_names() if is_absent(name)]
            if absent:
                item.add_marker(pytest.mark.skip(reason=f"absent traces: {', '.join(absent)}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end, in a line that is hard to miss, what was not tested for want of something."""
    blind = [r for r in terminalreporter.stats.get("skipped", []) if "browser" in r.keywords]
    if blind:
        terminalreporter.section("browser", sep="!", yellow=True, bold=True)
        terminalreporter.write_line(
            f"{len(blind)} tests in a browser were SKIPPED: {blind[0].longrepr[2]}", yellow=True
        )
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "traces" in r.keywords]
    if not skipped:
        return
    absent = ", ".join(filter(is_absent, trace_names()))
    terminalreporter.section("real traces", sep="!", yellow=True, bold=True)
    terminalreporter.write_line(
        f"{len(skipped)} tests on the real traces were SKIPPED: the files of {absent} are absent.\n"
        "Set SLICEGYM_TRACES to a folder that holds them; `slicegym-eval traces` says where they "
        "come from and where they are looked for.",
        yellow=True,
    )
