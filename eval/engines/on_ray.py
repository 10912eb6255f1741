"""Independent jobs on Ray: a cluster of one's own on this machine, or one that runs already.

Nothing else in this package knows of Ray, but for the tuning of training, which has its own file.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from ...envs import checks
from ...envs.errors import ConfigError
from .base import RETRIES, Answer, Engine
from .contract import contract
from .local import default_jobs, lost

PROBE_S = 5.0
STORE_BYTES = 256 * 2**20  # of a cluster of one's own, for what is shared
AHEAD = 2  # jobs handed out for each that runs, so that no worker waits for the next one
IS_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"


class RayEngine(Engine):
    """Jobs as tasks of Ray, a core each.

    Args:
        jobs: How many at the same time; by default as many as there are cores.
        address: Of a running cluster, `HOST:PORT` or `auto`; None starts one on this machine,
            which ends with this object.

    Raises:
        ConfigError: Ray is not installed, or nothing answers at the address.
    """

    patience_s = 0.0

    def __init__(self, jobs: int | None = None, address: str | None = None) -> None:
        if jobs is not None:
            checks.integer("jobs", jobs, at_least=1)
        _check_installed()
        if address is not None:
            _probe(address)
        self._asked, self._address = jobs, address
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self.jobs = self._open.enter_context(connected(self._asked, self._address))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def as_completed(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        traces: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """Yield what comes of the jobs.

        Raises:
            ConfigError: A worker has other code than this process, or other traces.
        """
        import ray

        job = ray.remote(num_cpus=1, max_retries=RETRIES)(_make_job())
        wanted, common = contract(traces), ray.put(pickle.dumps(shared))
        waiting, running = iter(range(len(tasks))), dict[Any, int]()
        # Of somebody's cluster no more than was asked for; else the cores are the limit.
        most = self.jobs if self._asked and self._address else AHEAD * self.jobs
        try:
            while True:
                while len(running) < most and (place := next(waiting, -1)) >= 0:
                    payload = pickle.dumps((place, function, *tasks[place]))
                    running[job.remote(wanted, payload, common)] = place
                if not running:
                    return
                for ref in ray.wait(list(running), num_returns=1)[0]:
                    yield _answer(ref, running.pop(ref))
        finally:
            for ref in running:  # in a cluster that stays
                ray.cancel(ref, force=True)


@contextmanager
def connected(jobs: int | None = None, address: str | None = None) -> Iterator[int]:
    """Be connected to a cluster, and yield how many jobs may run at the same time.

    Args:
        jobs: How many; by default as many as there are cores.
        address: Of the cluster; None for one of one's own.

    Raises:
        ConfigError: Ray is not installed, nothing answers within seconds, or it has no cores.
    """
    _check_installed()
    ray = _silenced()
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address is None:
        options |= {
            "address": "local",  # in spite of RAY_ADDRESS
            "num_cpus": jobs or default_jobs(),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
    else:
        _probe(address)
        options["address"] = address
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at --ray-address {address}"
        raise ConfigError(f"cannot work with Ray {where}: {_first_line(error)}") from error
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 1:
            raise ConfigError(
                f"the Ray cluster at {address} must have a core for jobs, got none; start its "
                "nodes with --num-cpus"
            )
        yield jobs or cores
    finally:
        ray.shutdown()


def _silenced() -> Any:
    """Return Ray, which sends nothing to anybody and leaves stdout to results."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray._private import worker

    logging.getLogger("ray").setLevel(logging.ERROR)
    # It prints to stdout that a worker was lost, and there is no setting against that.
    worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _check_installed() -> None:
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("--engine ray needs Ray, not installed here: pip install 'slicegym[ray]'")


def _probe(address: str) -> None:
    """See within seconds whether something like a cluster answers; Ray itself waits a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ConfigError(f"--ray-address must be HOST:PORT or auto, got {address!r}")
    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    grpc = import_module("grpc")  # comes with Ray
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        try:
            channel.unary_unary(IS_ALIVE)(b"", timeout=PROBE_S)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                return  # a cluster that asks for a token
            raise ConfigError(
                f"--ray-address must be that of a running Ray cluster, and none answers at "
                f"{address} ({_first_line(error.details())}); `ray start --head` prints it"
            ) from error


def _first_line(error: object) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def _make_job() -> Callable[[dict[str, Any], bytes, bytes], tuple[str, bytes]]:
    """Return what a worker runs, sent whole: there, this package may be another or absent."""

    def job(wanted: dict[str, Any], payload: bytes, common: bytes) -> tuple[str, bytes]:
        import pickle
        import socket
        from importlib import import_module

        try:
            refuse = import_module("slicegym.eval.engines.contract").refuse_other_worker
            answer_afar = import_module("slicegym.eval.engines.local").answer_afar
        except (ImportError, AttributeError) as error:
            return (
                f"the worker on {socket.gethostname()} must have slicegym {wanted['slicegym']}, "
                f"and has none or another ({error}); install the same there"
            ), b""
        try:
            refuse(wanted)
        except ValueError as error:
            return str(error), b""
        return "", pickle.dumps(answer_afar(*pickle.loads(payload), *pickle.loads(common)))

    return job


def _answer(ref: Any, place: int) -> Answer:
    """Return what a task of Ray came to.

    Raises:
        ConfigError: The worker has refused.
    """
    import ray

    try:
        refused, data = ray.get(ref)
    except ray.exceptions.RayError as error:
        found = Answer(place, error=lost())
        found.error.add_note(str(error))  # type: ignore[union-attr]
        return found
    if refused:
        raise ConfigError(refused)
    answer: Answer = pickle.loads(data)
    return answer
