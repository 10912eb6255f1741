"""A run of a suite: what is played, by whom, cell by cell, into a folder that survives a kill."""
