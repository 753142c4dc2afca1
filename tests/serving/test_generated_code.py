"""The committed code of the protocol is what the compiler makes of the committed protocol."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

from nanowakeword.v1 import wakeword_pb2

REPOSITORY = Path(__file__).parents[2]


def test_regenerating_gives_the_committed_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "protos/generate.py", "--out", tmp_path], cwd=REPOSITORY, check=True, timeout=60)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    package = REPOSITORY / "nanowakeword" / "v1"
    committed = {
        path.relative_to(REPOSITORY): path.read_bytes()
        for path in package.iterdir()
        if path.suffix in {".py", ".pyi"} and path.name != "__init__.py"
    }
    assert made == committed


def test_every_part_of_the_protocol_is_documented() -> None:
    """Each message, field, value, enum and call of the source has a comment right above it."""
    for source in (REPOSITORY / "protos").rglob("*.proto"):
        lines = [line.strip() for line in source.read_text(encoding="utf-8").splitlines()]
        for above, line in itertools.pairwise(lines):
            opens = line.startswith(("message ", "enum ", "service ", "rpc ", "oneof "))
            if opens or (line.endswith(";") and " = " in line and not line.startswith("syntax")):
                assert above.startswith("//"), f"{source.name}: {line}"


def test_the_package_is_versioned() -> None:
    assert wakeword_pb2.DESCRIPTOR.package == "nanowakeword.v1"
    assert wakeword_pb2.DESCRIPTOR.name == "nanowakeword/v1/wakeword.proto"
