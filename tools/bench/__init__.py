"""Measurements of this project beside others, in turn and in one run: the ratios matter."""
