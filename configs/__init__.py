"""Shipped YAML: scenarios, suites, traces and training runs. Values and comments only, no code."""
