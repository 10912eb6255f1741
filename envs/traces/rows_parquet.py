"""Parquet, where pyarrow is installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import TraceError
from .rows import MAX_LINES, MAX_UNPACKED_BYTES, Row, unknown_column

BATCH = 8192
MAX_GROUP_BYTES = 1 << 30  # of the wanted columns in a row group, as they are encoded


def read(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows; columns of times as NumPy's datetime64, and no other columns are read.

    Raises:
        TraceError: pyarrow is not installed, the file is damaged or too large.
        UnknownNameError: It lacks a wanted column.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise TraceError(
            f"{path} is a Parquet file, which needs pyarrow, not installed here: "
            "pip install 'slicegym[parquet]', or convert the file to CSV"
        ) from None
    try:
        _check_names(pyarrow.parquet.read_schema(path).names, columns, path)
        # Texts stay as they are encoded: one that stands once for millions of rows is held once.
        with pyarrow.parquet.ParquetFile(path, read_dictionary=list(columns)) as file:
            _check_size(file, columns, path)
            first = 1
            for batch in file.iter_batches(batch_size=BATCH, columns=list(dict.fromkeys(columns))):
                cells = [_cells(batch.column(name), pyarrow) for name in columns]
                for line, values in enumerate(zip(*cells, strict=True), start=first):
                    yield Row(line, values)
                first += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise TraceError(f"{path} must be a sound Parquet file, got: {reason:.200}") from None


def _check_names(names: Sequence[str], columns: Sequence[str], path: Path) -> None:
    for name in columns:
        if name not in names:
            raise unknown_column(str(path), name, names)


def _check_size(file: Any, columns: Sequence[str], path: Path) -> None:
    if file.metadata.num_rows > MAX_LINES:
        raise TraceError(
            f"{path} must hold at most {MAX_LINES:,} rows, got {file.metadata.num_rows:,}; "
            "cut it into parts"
        )
    total = 0
    for i in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(i)
        parts = (group.column(j) for j in range(group.num_columns))
        size = sum(p.total_uncompressed_size for p in parts if p.path_in_schema in columns)
        total += size
        if size > MAX_GROUP_BYTES or total > MAX_UNPACKED_BYTES:
            raise TraceError(
                f"{path}: the wanted columns must unpack to at most {MAX_GROUP_BYTES:,} bytes a "
                f"row group and {MAX_UNPACKED_BYTES:,} in all, got more; write smaller groups"
            )


def _cells(column: Any, pyarrow: Any) -> list[object]:
    if pyarrow.types.is_timestamp(column.type):
        nanoseconds = column.cast(pyarrow.timestamp("ns", column.type.tz))
        return list(nanoseconds.to_numpy(zero_copy_only=False))
    if pyarrow.types.is_dictionary(column.type):
        values = [*column.dictionary.to_pylist(), None]
        return [values[-1 if place is None else place] for place in column.indices.to_pylist()]
    return list(column.to_pylist())
