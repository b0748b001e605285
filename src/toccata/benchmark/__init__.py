"""Measure speed and memory of a model on this machine: `toccata bench`.

Every measurement runs in a separate process, so that its memory can be measured. `speed` starts
these processes in turns; they run `ours` or a peer with the same `task` and the same `shapes`.
"""
