"""A whole floor of real daemons on one machine, each its own process. Called by `cli/demo.py`."""
