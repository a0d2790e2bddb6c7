"""Measurements, ours and others' in turn and in one run: ratios count, not absolute times."""
