"""Augmentations: a table, and one file for each."""
