"""Measuring: quality and speed of filters and of their peers, on the same noisy input in one run."""
