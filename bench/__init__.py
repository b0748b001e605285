"""Speed and memory of toccata, beside its peers on the same machine.

python -m bench                                          all of it; `make bench` does the same
python -m bench --shape small --compare transformers     random weights, side by side
python -m bench --model mini                             a loaded model, end to end
python -m bench.memory                                   does a process grow with its work?
python -m bench.startup                                  from the shell's prompt to a file

Everything runs on the CPU. No other work should: the figures are of a whole machine.
"""
