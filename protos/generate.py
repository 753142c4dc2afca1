"""Write the Python code of the protocol: ``python protos/generate.py``.

The output is committed, so that neither users nor the wheel's build need a compiler; a test generates it again and
compares the bytes. It lands in ``nanowakeword/v1`` under the folder named by ``--out`` (the repository by default).
"""

from __future__ import annotations

import argparse
from pathlib import Path

PROTOS = Path(__file__).resolve().parent


def generate(out: Path) -> None:
    """Compile every ``.proto`` below this folder to messages, service and type stubs below ``out``."""
    from grpc_tools import protoc

    sources = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    arguments = ["protoc", f"-I{PROTOS}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    status: int = protoc.main([*arguments, *sources])
    if status:
        raise SystemExit(status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the Python code of the protocol.")
    parser.add_argument("--out", type=Path, default=PROTOS.parent, help="folder that holds the package nanowakeword")
    generate(parser.parse_args().out)
