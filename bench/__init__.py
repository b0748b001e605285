"""Benchmarks for developers of toccata; users have `toccata bench`.

python -m bench                    measure all sections of docs/lab/performance.md (`make bench`)
python -m bench mini server        measure only these sections
python -m bench --render           write docs/lab/performance.md from stored results
python -m bench.concurrency        throughput of concurrent requests
python -m bench.fairness           effects of requests on each other
python -m bench.duration           cost of long clips
python -m bench.lora               whether a LoRA learns a style, and what else it changes
python -m bench.memory             growth of a process's memory
python -m bench.quality            effects of quantisation
python -m bench.server             the server under load
python -m bench.startup            time from the shell to a written file

All of them use the CPU, and need a machine without other work.
"""
