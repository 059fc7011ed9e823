"""Benchmarks: each states its mix, its machine and what it leaves out, or is not printed. Run them with `make bench`."""
