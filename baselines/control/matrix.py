"""A linear program whose shape stays and whose numbers change from decision to decision."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csc_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Term = tuple[ArrayLike, ArrayLike]


@dataclass
class Shape:
    """Rows and columns as they are added; `Frame` is what comes of them.

    Attributes:
        n_columns: Columns so far.
        n_rows: Rows so far.
        entries: Rows, columns and values of what was added, in order.
        marked: Places among the entries of those that change, by name.
    """

    n_columns: int = 0
    n_rows: int = 0
    n_entries: int = 0
    entries: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)
    marked: dict[str, tuple[Ints, Ints]] = field(default_factory=dict)

    def columns(self, *shape: int) -> Ints:
        """Add columns and return their numbers in an array of that shape."""
        n = int(np.prod(shape))
        self.n_columns += n
        return np.arange(self.n_columns - n, self.n_columns).reshape(shape)

    def rows(self, *terms: Term, like: NDArray[np.generic]) -> Ints:
        """Add rows Σ coefficient · column, one for each element of an array of their shape.

        A column of −1 is left out.
        """
        rows = np.arange(self.n_rows, self.n_rows + like.size).reshape(like.shape)
        self.n_rows += like.size
        for column, coefficient in terms:
            self.put(rows, column, coefficient)
        return rows

    def put(self, rows: Ints, column: ArrayLike, value: ArrayLike, name: str = "") -> None:
        """Add one entry to each row; those with a name can be set later, by `Frame.set`.

        A row has each column once.
        """
        columns = np.broadcast_to(np.asarray(column, dtype=np.int64), rows.shape)
        values = np.broadcast_to(np.asarray(value, dtype=np.float64), rows.shape)
        used = (columns >= 0) & (values != 0)
        if name:
            places = self.n_entries + np.arange(int(used.sum()))
            self.marked[name] = (places, np.flatnonzero(used))
        self.n_entries += int(used.sum())
        self.entries.append((rows[used], columns[used], values[used]))

    def frame(self) -> Frame:
        """Return the matrix, with the places of what changes."""
        row, column, value = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        order = np.lexsort((row, column))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        start = np.searchsorted(column[order], np.arange(self.n_columns + 1))
        shape = (self.n_rows, self.n_columns)
        matrix = csc_array((value[order], row[order], start), shape=shape)
        return Frame(matrix, {name: (place[at], of) for name, (at, of) in self.marked.items()})


@dataclass(frozen=True, eq=False)
class Frame:
    """A matrix by columns whose named entries can be set.

    Attributes:
        matrix: (rows, columns).
        marked: Name: places in the matrix's data, and the elements that belong there.
    """

    matrix: csc_array
    marked: dict[str, tuple[Ints, Ints]]

    def set(self, name: str, values: ArrayLike) -> None:
        """Set the entries of a name from an array in the shape of its rows."""
        places, elements = self.marked[name]
        self.matrix.data[places] = np.asarray(values, dtype=np.float64).ravel()[elements]
