"""Judging predictions: scores of images and stacks, chosen thresholds, pooled numbers."""
