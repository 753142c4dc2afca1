"""Which files a module's behaviour comes from: the code of ours that it imports, directly or through others.

Read from the source with ``ast``; nothing is executed. Counted as imports:

* import statements anywhere in the file, so also those inside functions;
* strings that are the dotted path of a module, such as ``"models.tcn"`` or ``"models.tcn:Tcn"`` in a table;
* strings that name a data file beside the module.

A package's ``__init__`` counts only where a name is taken from it: here they hold a docstring and re-exports.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["CHECKOUT", "PACKAGES", "closure"]

# The real path: a workspace reaches these packages through links.
CHECKOUT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("models", "nanowakeword", "steps")

_DOTTED_PATH: Final = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+(?=:\w+$|$)")
_FILE_NAME: Final = re.compile(r"[\w-]+\.(?!py$)\w+")


def closure(module: str) -> list[Path]:
    """Files that a module's behaviour comes from, itself included.

    Args:
        module: dotted path, for example ``steps.train``.

    Returns:
        Paths relative to the checkout, sorted.
    """
    found: set[Path] = set()
    waiting = [path for path in [_locate(module)] if path is not None]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_uses(path))
    return sorted(found)


@cache
def _uses(path: Path) -> frozenset[Path]:
    """Files of ours that one file names."""
    if path.suffix != ".py":
        return frozenset()
    tree = ast.parse((CHECKOUT / path).read_bytes(), filename=str(path))
    names = {name for node in ast.walk(tree) for name in _names(node, path)}
    files = {located for name in names if (located := _locate(name)) is not None}
    return frozenset(files | set(_data_files(tree, path.parent)))


def _names(node: ast.AST, path: Path) -> Iterator[str]:
    """Dotted paths that a syntax node may import."""
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            package = list(path.parts[: len(path.parts) - level]) if level else []
            base = ".".join([*package, *([module] if module else [])])
            for alias in names:
                inner = f"{base}.{alias.name}"
                yield inner if _locate(inner) is not None else base
        case ast.Constant(value=str(text)) if match := _DOTTED_PATH.match(text):
            yield match.group()


def _data_files(tree: ast.AST, folder: Path) -> Iterator[Path]:
    """Files beside a module that it names in a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILE_NAME.fullmatch(node.value):
            path = folder / node.value
            if (CHECKOUT / path).is_file():
                yield path


def _locate(name: str) -> Path | None:
    """File of a module or package of ours, relative to the checkout."""
    if name.partition(".")[0] not in PACKAGES:
        return None
    base = Path(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if (CHECKOUT / path).is_file():
            return path
    return None
