"""Checks the server's settings whole, so that all that is wrong is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.config import ServerConfig

__all__ = ["check"]


def check(config: ServerConfig) -> None:
    """Check settings.

    Raises:
        ConfigError: values are wrong, files cannot be read, or the server would be open by mistake.
    """
