"""Benchmarks: each file measures sides against each other, interleaved in one process."""
