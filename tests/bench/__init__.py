"""Benchmarks: ratios against a stated rival measured in the same run; never a timed assertion.

python -m tests.bench              all of them
python -m tests.bench scale        one replica set 0 -> 1000 -> 0 on 50 simulated nodes
python -m tests.bench fencing      nodes that crash, freeze or are cut off, on a cluster of its own
python -m tests.bench boot memory  on the cluster of $KUBECONFIG

Each prints a table and writes tests/bench/results/NAME.json.
"""
