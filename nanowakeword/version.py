"""The version, alone: what only wants to name it imports nothing else."""

__all__ = ["__version__"]

__version__ = "0.1.0"
