"""A linear program, put together family by family: columns with costs, rows of few entries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Term = tuple[ArrayLike, ArrayLike]

LATENCY, COST, IDLE = range(3)


@dataclass
class Rows:
    """Rows of one kind, Σ coefficient · column ≤ right-hand side or = it, in blocks."""

    right: list[Floats] = field(default_factory=list)
    at: list[Ints] = field(default_factory=list)
    guess: list[Floats] = field(default_factory=list)
    entries: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)
    count: int = 0

    def add(self, right: ArrayLike, *terms: Term, at: ArrayLike, guess: ArrayLike = 0.0) -> Ints:
        """Add n rows, one for each element of the terms; a column of -1 is left out.

        Args:
            right: Right-hand sides, broadcast to (n,).
            terms: Pairs of columns and coefficients, each broadcast to (n,).
            at: Interval of each row, (n,), for solving the program in windows.
            guess: Multipliers to begin with, broadcast to (n,).

        Returns:
            The numbers of the rows, (n,).
        """
        tags = np.asarray(at, dtype=np.int64)
        n = len(tags)
        rows = np.arange(self.count, self.count + n)
        self.count += n
        self.at.append(tags)
        self.right.append(np.broadcast_to(np.asarray(right, dtype=np.float64), (n,)))
        self.guess.append(np.broadcast_to(np.asarray(guess, dtype=np.float64), (n,)))
        for column, coefficient in terms:
            self.extend(rows, column, coefficient)
        return rows

    def extend(self, rows: Ints, column: ArrayLike, coefficient: ArrayLike) -> None:
        """Add entries to rows that are there; entries of the same place add up."""
        columns = np.broadcast_to(np.asarray(column, dtype=np.int64), rows.shape)
        values = np.broadcast_to(np.asarray(coefficient, dtype=np.float64), rows.shape)
        used = (columns >= 0) & (values != 0)
        self.entries.append((rows[used], columns[used], values[used]))

    def matrix(self, n_columns: int) -> tuple[csr_array, Floats]:
        """Return the rows as a sparse matrix, (rows, columns), and their right-hand sides."""
        shape = (self.count, n_columns)
        if not self.entries:
            return csr_array(shape), np.zeros(0)
        row, column, value = (np.concatenate(part) for part in zip(*self.entries, strict=True))
        return csr_array((value, (row, column)), shape=shape), np.concatenate(self.right)


@dataclass
class Program:
    """Minimise Σ weight · term, the reward's terms, over columns in [0, upper].

    Attributes:
        at_most: Rows of the kind ≤.
        equal: Rows of the kind =.
        costs: Contribution of each column to latency, cost and idle, blocks of (3, columns).
        upper: Upper bounds, blocks.
        whole: Whether columns must be whole numbers where that is asked for, blocks.
        constant: What the terms hold whatever is decided, (3,).
        added: What columns contribute on top: term, columns, values.
        shares: Columns of the shares [GPU·s], (N, K), and of what is in memory, -1 where there are
            none; for reading a point.
    """

    at_most: Rows = field(default_factory=Rows)
    equal: Rows = field(default_factory=Rows)
    costs: list[Floats] = field(default_factory=list)
    upper: list[Floats] = field(default_factory=list)
    whole: list[NDArray[np.bool_]] = field(default_factory=list)
    constant: Floats = field(default_factory=lambda: np.zeros(3))
    n_columns: int = 0
    added: list[tuple[int, Ints, Floats]] = field(default_factory=list)
    shares: tuple[Ints, Ints] = field(default_factory=lambda: (np.zeros((0, 0), int),) * 2)

    def columns(
        self,
        n: int,
        upper: ArrayLike,
        latency: ArrayLike = 0.0,
        cost: ArrayLike = 0.0,
        idle: ArrayLike = 0.0,
        whole: bool = False,
    ) -> Ints:
        """Add n columns in [0, upper] and return their numbers, (n,)."""
        first = self.n_columns
        self.n_columns += n
        terms = [
            np.broadcast_to(np.asarray(t, dtype=np.float64), (n,)) for t in (latency, cost, idle)
        ]
        self.costs.append(np.stack(terms))
        self.upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), (n,)))
        self.whole.append(np.full(n, whole))
        return np.arange(first, first + n)

    def add_cost(self, term: int, column: Ints, value: ArrayLike) -> None:
        """Add to what columns that are there contribute to a term."""
        values = np.broadcast_to(np.asarray(value, dtype=np.float64), column.shape)
        self.added.append((term, column, values))

    @property
    def terms(self) -> Floats:
        """Contributions of all columns, (3, columns)."""
        terms = np.concatenate(self.costs, axis=1)
        for term, column, value in self.added:
            np.add.at(terms[term], column, value)
        return terms
