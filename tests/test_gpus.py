"""GPU types: the table that is shipped, and what a type must not be."""

from pathlib import Path
from typing import Any

import pytest

from slicegym.envs import ConfigError
from slicegym.envs.gpus import GpuType, gpu_type, gpu_types

from .builders import bad_numbers

# Memory [GB] and memory bandwidth [GB/s] of the datasheets; $/h of an instance and its GPUs, AWS
# on demand in us-east-1; compute slices that MIG can cut.
DATASHEETS = {
    "T4": (16, 320, 0.752, 1, None),
    "L4": (24, 300, 0.9776, 1, None),
    "A10G": (24, 600, 1.212, 1, None),
    "A100-40": (40, 1555, 21.957642, 8, "mig-a100"),
    "A100-80": (80, 2039, 27.44705, 8, "mig-a100"),
    "H100": (80, 3350, 55.04, 8, "mig"),
}


def test_the_types_that_are_shipped() -> None:
    assert list(gpu_types()) == list(DATASHEETS)
    for name, (memory_gb, bandwidth, price, gpus, mig) in DATASHEETS.items():
        gpu = gpu_types()[name]
        assert (gpu.name, gpu.memory_mb, gpu.mig) == (name, memory_gb * 1024, mig)
        assert gpu.speed == pytest.approx(bandwidth / 600, abs=0.005)
        assert gpu.price_per_gpu_hour == pytest.approx(price / gpus, abs=0.0006)


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        gpu_types()["A10G"] = gpu_types()["T4"]  # type: ignore[index]


def test_a_type_by_name_or_by_its_fields() -> None:
    assert gpu_type("H100") is gpu_types()["H100"]
    fields = {"memory_mb": 1000, "speed": 2, "price_per_gpu_hour": 0}
    assert gpu_type(fields) == GpuType(memory_mb=1000, speed=2, price_per_gpu_hour=0)
    assert gpu_type({**fields, "name": "mine", "mig": "mig"}) == GpuType(
        name="mine", memory_mb=1000, speed=2, price_per_gpu_hour=0, mig="mig"
    )


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            "A10",
            ConfigError,
            r"gpu must be one of T4, L4, A10G, A100-40, A100-80, H100, got 'A10' \(did you mean "
            r"'A10G'\?\)$",
        ),
        ("A100", ConfigError, r"gpu must be one of .*, got 'A100' \(did you mean 'A100-80'\?\)$"),
        ("h100", ConfigError, r"gpu must be one of .*, got 'h100' \(did you mean 'H100'\?\)$"),
        ("", ConfigError, r"gpu must be one of .*, got '' \(known: A100-40, .*, T4\)$"),
        (
            None,
            TypeError,
            "gpu must be the name of a GPU type or a mapping of its fields, got None",
        ),
        (100, TypeError, "gpu must be the name of a GPU type or a mapping of its fields, got 100"),
        (["T4"], TypeError, r"gpu must be the name of a GPU type .*, got \['T4'\]"),
        ({}, ConfigError, "gpu lacks the required key 'memory_mb'; add it"),
        ({"memory_mb": 1, "speed": 1}, ConfigError, "gpu lacks .* 'price_per_gpu_hour'; add it"),
        ({"memory": 1}, ConfigError, r"gpu has an unknown key 'memory' \(did you mean 'memory_mb'"),
        ({5: 1}, TypeError, "gpu must have strings as keys, got the key 5"),
    ],
)
def test_types_that_do_not_exist(content: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        gpu_type(content)


GPU_NUMBERS = {
    "memory_mb": "greater than 0",
    "speed": "greater than 0",
    "price_per_gpu_hour": "at least 0",
}


@pytest.mark.parametrize(("name", "value", "error", "message"), bad_numbers(GPU_NUMBERS))
def test_bad_numbers_of_a_type(name: str, value: Any, error: Any, message: str) -> None:
    fields = {"memory_mb": 1, "speed": 1, "price_per_gpu_hour": 1, name: value}
    with pytest.raises(error, match=f"^{name} must be {message}"):
        GpuType(**fields)
    with pytest.raises(error, match=rf"^pool\.gpu\.{name} must be {message}"):
        gpu_type(fields, "pool.gpu")


def test_bad_words_of_a_type() -> None:
    with pytest.raises(ConfigError, match=r"^gpu\.mig must be one of mig, mig-a100, got 'migg'"):
        gpu_type({"memory_mb": 1, "speed": 1, "price_per_gpu_hour": 1, "mig": "migg"})
    with pytest.raises(TypeError, match=r"^gpu\.name must be a string, got 5"):
        gpu_type({"memory_mb": 1, "speed": 1, "price_per_gpu_hour": 1, "name": 5})


def test_a_damaged_table_names_the_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpus.yaml").write_text("T4: {memory_mb: 1, speed: 0, price_per_gpu_hour: 1}")
    monkeypatch.setattr("slicegym.envs.gpus.resources.files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=r"^gpus\.T4\.speed must be greater than 0, got 0\.0"):
        gpu_types.__wrapped__()  # type: ignore[attr-defined]
