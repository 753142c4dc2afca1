"""``python -m nanowakeword``: the program, for where no script is installed."""

from __future__ import annotations

import sys

from nanowakeword.cli import main

sys.exit(main())
