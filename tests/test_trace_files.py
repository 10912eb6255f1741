"""Trace files: where they are looked for, how they are checked, and how they are fetched."""

import gzip
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from slicegym.envs.errors import TraceError
from slicegym.envs.traces import files, load_trace, registry, trace_status

from .miniatures import ORIGIN, azure, calls, sha256, write_trace

DATA = azure(calls())
SUM = sha256(DATA)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Empty folders for given files and downloads, and no way to GitHub."""
    folders = {name: tmp_path / name for name in ("given", "cache", "own")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.setenv(files.TRACES_VARIABLE, str(folders["given"]))
    monkeypatch.setenv(files.CACHE_VARIABLE, str(folders["cache"]))
    monkeypatch.setattr(registry, "RAW_ADDRESS", "http://127.0.0.1:9/{path}")
    return folders


def summed(places: dict[str, Path], **changes: Any) -> str:
    """A trace with an address and a sum, whose file is nowhere yet."""
    values = {**ORIGIN, "sha256": SUM, "bytes": len(DATA), **changes}
    return str(write_trace(places["own"], "mini", None, **values))


@pytest.mark.parametrize("place", ["given", "cache", "own"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_found_plain_or_packed(places: dict[str, Path], place: str, packed: bool) -> None:
    name = summed(places)
    assert not trace_status(name).present
    file = places[place] / ("traces" if place == "cache" else ".") / "mini.csv"
    if packed:
        file = file.with_name("mini.csv.gz")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(gzip.compress(DATA) if packed else DATA)
    assert load_trace(name).arrival_s.size == 400
    status = trace_status(name)
    assert status.present
    assert status.path == file.resolve()
    assert status.bytes == file.stat().st_size
    assert status.problem == ""


def test_the_first_file_counts_and_a_wrong_sum_never_falls_through(
    places: dict[str, Path],
) -> None:
    name = summed(places)
    cached = places["cache"] / "traces" / "mini.csv"
    cached.parent.mkdir()
    cached.write_bytes(DATA)
    wrong = places["given"] / "mini.csv"
    wrong.write_bytes(DATA[:-1] + b"9")
    with pytest.raises(TraceError, match=f"mini.csv must have the sha256 {SUM}.*got .*remove"):
        load_trace(name)
    status = trace_status(name)
    assert not status.present
    assert status.path == wrong
    assert "sha256" in status.problem
    wrong.unlink()
    assert load_trace(name).arrival_s.size == 400


def test_the_sum_is_of_the_unpacked_file(places: dict[str, Path]) -> None:
    (places["given"] / "mini.csv.gz").write_bytes(gzip.compress(DATA, compresslevel=1, mtime=5))
    assert load_trace(summed(places)).arrival_s.size == 400


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(DATA)[:-20], "mini.csv.gz must be whole, but ends early"),
        (gzip.compress(DATA)[:500] + b"\0" * 500, "mini.csv.gz must be"),
        (DATA, "mini.csv.gz must be a gzip file"),
        (b"", "mini.csv.gz must"),
        (gzip.compress(bytes(50_000_000)), "must hold at most [0-9]+ bytes unpacked, got more"),
    ],
)
def test_damaged_archives(places: dict[str, Path], data: bytes, message: str) -> None:
    (places["given"] / "mini.csv.gz").write_bytes(data)
    with pytest.raises(TraceError, match=message):
        load_trace(summed(places))


def test_a_large_plain_file_is_not_read_whole(places: dict[str, Path]) -> None:
    with (places["given"] / "mini.csv").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(TraceError, match="must hold at most"):
        load_trace(summed(places))


def test_ones_own_trace_needs_no_sum_but_must_be_there(places: dict[str, Path]) -> None:
    name = str(write_trace(places["own"], "mini", None))
    with pytest.raises(TraceError, match=r"mini.csv\[.gz\] is not in .*own nor in .*put it there"):
        load_trace(name)


def test_without_network_the_message_says_where_to_put_the_file(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TraceError) as caught:
        load_trace("azure_conv")
    message = str(caught.value)
    given = places["given"]
    assert (
        f"AzureLLMInferenceTrace_conv.csv[.gz] is not in {given} nor in {places['cache']}"
        in message
    )
    assert "could not be fetched" in message
    assert f"save it as {given / 'AzureLLMInferenceTrace_conv.csv'}" in message
    monkeypatch.delenv(files.TRACES_VARIABLE)
    with pytest.raises(TraceError, match=r"\(\$SLICEGYM_TRACES is not set\)"):
        load_trace("azure_conv")
    assert list(places["cache"].iterdir()) == []


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `body` in full, or a part of what it promises."""

    body: ClassVar[bytes] = b""
    promised: ClassVar[int] = 0
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(self.promised or len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Server]]:
    handler = type("Handler", (Server,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        address = f"http://127.0.0.1:{running.server_port}/{{path}}"
        monkeypatch.setattr(registry, "RAW_ADDRESS", address)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler
        running.shutdown()
        thread.join()


def test_a_download_is_checked_kept_and_used_again(
    places: dict[str, Path], server: type[Server]
) -> None:
    server.body = DATA
    name = summed(places)
    assert load_trace(name).arrival_s.size == 400
    folder = places["cache"] / "traces"
    assert [file.name for file in folder.iterdir()] == ["mini.csv"]
    assert (folder / "mini.csv").read_bytes() == DATA
    server.status = 500
    assert trace_status(name).present


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"body": DATA[:-1] + b"9"}, "must have the sha256 .* the address no longer holds"),
        ({"body": DATA[:200]}, "must have the sha256"),
        ({"body": DATA[:200], "promised": len(DATA)}, "must have the sha256|could not be fetched"),
        ({"body": DATA + bytes(10**6)}, "must hold at most"),
        ({"status": 404}, "could not be fetched .*404.*save it as"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(
    places: dict[str, Path], server: type[Server], changes: dict[str, Any], message: str
) -> None:
    for key, value in changes.items():
        setattr(server, key, value)
    with pytest.raises(TraceError, match=message):
        load_trace(summed(places))
    assert [path for path in places["cache"].rglob("*") if path.is_file()] == []


def test_an_unwritable_cache_is_named(
    places: dict[str, Path], server: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = DATA
    blocked = places["own"] / "a_file"
    blocked.write_text("")
    monkeypatch.setenv(files.CACHE_VARIABLE, str(blocked))
    with pytest.raises(TraceError, match=r"cannot write .*set \$SLICEGYM_CACHE"):
        load_trace(summed(places))


def test_a_failed_write_leaves_nothing_behind(
    places: dict[str, Path], server: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = DATA

    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files.Path, "replace", fail)
    with pytest.raises(TraceError, match=r"cannot write .*disk full"):
        load_trace(summed(places))
    assert [path for path in places["cache"].rglob("*") if path.is_file()] == []
