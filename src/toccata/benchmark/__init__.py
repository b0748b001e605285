"""Measure speed and memory of a model on this machine: `toccata bench`.

Every measurement runs in a process of its own, so that its memory is its own. `speed` runs them by
turns; `ours` and the peers are what runs in them, on the same `task` and the same `shapes`.
"""
