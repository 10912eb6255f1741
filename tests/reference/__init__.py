"""Slow, independent simulators written from the model's text: the judges of the compiled one."""
