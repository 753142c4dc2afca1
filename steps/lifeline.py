"""A child that does not outlive its parent.

When DVC is killed outright, a stage that lived on would write into outputs that DVC has taken away, and its pool of
workers would go on speaking clips for nobody.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Final

__all__ = ["die_with_parent"]

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere nothing happens.

    It is killed, not asked to end: who started it may have had SIGTERM ignored, which children inherit, and whatever it
    half wrote has to survive a kill anyway.

    To be called in the child, early: in a program's ``main``, or as the ``initializer`` of a pool of processes.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
