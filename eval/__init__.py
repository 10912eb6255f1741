"""One rollout loop for every allocator, metrics, statistics and reports."""
