"""Binary heaps over record arrays, and a tournament over the agents' next events."""

from __future__ import annotations

import numpy as np

from .compile import compiled_in_place


@compiled_in_place
def _finishes_before(slots, i, finish, call):
    return slots[i].finish < finish or (slots[i].finish == finish and slots[i].call < call)


@compiled_in_place
def push_slot(slots, base, size, finish, call):
    """Add a call in service to the heap of `size` slots at `base`; the caller counts."""
    child = size
    while child > 0:
        parent = (child - 1) // 2
        if _finishes_before(slots, base + parent, finish, call):
            break
        slots[base + child] = slots[base + parent]
        child = parent
    slots[base + child].finish = finish
    slots[base + child].call = call


@compiled_in_place
def pop_slot(slots, base, size):
    """Remove the first call of the heap of `size` slots at `base`."""
    last = base + size - 1
    replace_slot(slots, base, size - 1, slots[last].finish, slots[last].call)


@compiled_in_place
def replace_slot(slots, base, size, finish, call):
    """Put another call in place of the first of the heap of `size` slots at `base`."""
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _finishes_before(
            slots, base + right, slots[base + child].finish, slots[base + child].call
        ):
            child = right
        if not _finishes_before(slots, base + child, finish, call):
            break
        slots[base + hole] = slots[base + child]
        hole = child
    slots[base + hole].finish = finish
    slots[base + hole].call = call


@compiled_in_place
def _due_before(heap, i, time, call):
    return heap[i].time < time or (heap[i].time == time and heap[i].call < call)


@compiled_in_place
def push_delayed(heap, size, time, call):
    """Add a release to come to the heap of `size` entries; the caller counts."""
    child = size
    while child > 0:
        parent = (child - 1) // 2
        if _due_before(heap, parent, time, call):
            break
        heap[child] = heap[parent]
        child = parent
    heap[child].time = time
    heap[child].call = call


@compiled_in_place
def pop_delayed(heap, size):
    """Remove the first release of the heap of `size` entries."""
    last = size - 1
    time, call = heap[last].time, heap[last].call
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= last:
            break
        right = child + 1
        if right < last and _due_before(heap, right, heap[child].time, heap[child].call):
            child = right
        if not _due_before(heap, child, time, call):
            break
        heap[hole] = heap[child]
        hole = child
    heap[hole].time = time
    heap[hole].call = call


@compiled_in_place
def set_event(tree, agent, time):
    """Set an agent's next event and replay its matches up to the root, `tree[1]`."""
    node = len(tree) // 2 + agent
    tree[node] = time
    node //= 2
    while node >= 1:
        tree[node] = min(tree[2 * node], tree[2 * node + 1])
        node //= 2


@compiled_in_place
def first_event(tree):
    """Return the first agent among those whose next event comes first."""
    leaves = len(tree) // 2
    node = 1
    while node < leaves:
        node *= 2
        if tree[node] != tree[1]:
            node += 1
    return node - leaves


@compiled_in_place
def clear_events(tree):
    """Forget all events."""
    tree[:] = np.inf
