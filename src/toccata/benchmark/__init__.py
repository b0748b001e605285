"""How fast a model is on this machine, and what it takes: `toccata bench`.

Every measurement runs in a process of its own, so that its memory is its own. `speed` runs them by
turns; `ours` and the peers are what runs in them, on the same `task` and the same `shapes`.
"""
