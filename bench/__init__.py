"""What toccata does with a machine, for those who work on it; users have `toccata bench`.

python -m bench                    all of it into docs/lab/performance.md, as `make bench` does
python -m bench mini server        only these sections
python -m bench --render           docs/lab/performance.md from what was measured before
python -m bench.concurrency        what many requests at once gain
python -m bench.fairness           what requests do to each other
python -m bench.duration           does a long clip cost more than a short one?
python -m bench.lora               does a LoRA learn a style, and what does it change besides?
python -m bench.memory             does a process grow with its work?
python -m bench.quality            what compression changes
python -m bench.server             the server under load
python -m bench.startup            from the shell's prompt to a file

Everything runs on the CPU. No other work should: the figures are of a whole machine.
"""
