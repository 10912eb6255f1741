"""Batched service: what each call of a batch gets, from the counts of the batch alone."""

from __future__ import annotations


def gain(n: int, half_batch: float, concurrency: int) -> float:
    """φ(n): how well a batch of n decodes, 1 for a full one."""
    return n / (n + half_batch) * (concurrency + half_batch) / concurrency


def decoding(n_prefill: int, n_decode: int, half_batch: float, concurrency: int) -> float:
    """Part of the share's full speed that one decoding call gets."""
    return gain(n_decode, half_batch, concurrency) / (n_prefill + n_decode)


def busy(n_prefill: int, n_decode: int, half_batch: float, concurrency: int) -> float:
    """Part of the share's full speed that all calls get together."""
    if n_prefill + n_decode == 0:
        return 0.0
    prefilled = n_prefill / (n_prefill + n_decode)
    if n_decode == 0:
        return prefilled
    return prefilled + n_decode * decoding(n_prefill, n_decode, half_batch, concurrency)
