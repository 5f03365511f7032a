"""Ratios, CPU time and counts: what `make proof` measures. A package, for its file names."""
