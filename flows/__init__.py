"""Prefect runs the stages; it holds no logic of its own."""
