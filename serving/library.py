"""The models that are served now: files named at the start, and those of a folder, as they come, change and go.

Once a second a thread looks at the files. What is new or changed is loaded there, measured, and only then takes the
place of what was there before; a file that cannot be loaded is reported once and changes nothing. Whoever writes a file
writes it beside and renames it. ``NAME_head.onnx`` belongs to ``NAME.onnx``.

A model leaves when its file leaves the folder. A file that was named at the start is served on when it vanishes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from nanowakeword.errors import ConfigError, NanoWakewordError
from serving.config import ServerConfig
from serving.errors import UnknownModelError
from serving.models import HEAD, ServedModel, load_model

__all__ = ["Library"]

_LOG: Final = logging.getLogger(__name__)
_LOOK_S: Final = 1.0

# What tells that a file is another one: of each, the time of its last change, its size and its inode.
Version = tuple[tuple[int, int, int] | None, ...]


class Library:
    """Models by name.

    Args:
        config: its models, folder, threshold and pipeline.

    Raises:
        ConfigError: two models have one name, one is named twice, a model has nothing for the pipeline, or there is
            none at all.
        ModelError: a named file is missing, damaged, or not a model.

    Attributes:
        models: those served now, the default one first; replaced as a whole.
        generation: grows with every change.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._named = config.models
        self._folder = config.model_dir
        self._load_file: Callable[[Path], ServedModel] = lambda path: load_model(
            path, threshold=config.threshold, pipeline=config.pipeline
        )
        self._versions: dict[Path, Version] = {}
        self._loaded: dict[Path, ServedModel] = {}
        for path in self._named:
            if path in self._loaded:
                raise ConfigError("a model is named twice", got=path, expected="each once")
            self._versions[path] = _version(path)
            self._add(path, self._load_file(path))
        self.models = tuple(self._loaded.values())
        self.generation = 0
        self.look()
        if not self.models:
            raise ConfigError("no model to serve", got=f"none in {self._folder}", hint="Put one there: NAME.onnx")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="library", daemon=True)
        self._thread.start()

    def find(self, name: str) -> ServedModel:
        """A model; the default one for an empty name.

        Raises:
            UnknownModelError: it is not here.
        """
        models = self.models
        for model in models:
            if name in (model.name, ""):
                return model
        known = ", ".join(model.name for model in models) or "none at the moment"
        raise UnknownModelError("this server has no such model", got=_shown(name), expected=known)

    def look(self) -> None:
        """Load what is new or changed, and forget what has left the folder."""
        found = [*self._named, *self._in_folder()]
        for path in [path for path in self._loaded if path not in found]:
            _LOG.info("model %s: its file was removed, it is no longer served", self._loaded.pop(path).name)
        self._versions = {path: version for path, version in self._versions.items() if path in found}
        for path in found:
            version = _version(path)
            if version[0] is None or version == self._versions.get(path):
                continue
            self._versions[path] = version
            try:
                model = self._load_file(path)
                self._add(path, model)
            except NanoWakewordError as error:
                kept = " (its earlier version still is)" if path in self._loaded else ""
                _LOG.warning("%s is not served%s: %s", path, kept, error)
            else:
                _LOG.info("model %s is served from %s", model.name, path)
        models = tuple(self._loaded[path] for path in found if path in self._loaded)
        if models != self.models:
            self.models = models
            self.generation += 1

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_S):
            try:
                self.look()
            except Exception:
                _LOG.exception("cannot look for models")

    def _in_folder(self) -> Iterator[Path]:
        if self._folder is None:
            return
        files = {path for path in self._folder.glob("*.onnx") if not path.name.startswith(".")}
        for path in sorted(files - set(self._named)):
            # A head file beside its model is loaded with it.
            if not (path.stem.endswith(HEAD) and path.with_name(f"{path.stem.removesuffix(HEAD)}.onnx") in files):
                yield path

    def _add(self, path: Path, model: ServedModel) -> None:
        for other_path, other in self._loaded.items():
            if other.name == model.name and other_path != path:
                raise ConfigError(
                    "two models with one name",
                    got=f"{model.name!r} in {other.path}, {model.path}",
                    expected="a name for each",
                )
        self._loaded[path] = model


def _version(path: Path) -> Version:
    """What tells whether a model file, or the head file beside it, is another one."""
    version: list[tuple[int, int, int] | None] = []
    for part in (path, path.with_name(f"{path.stem}{HEAD}.onnx")):
        try:
            status = part.stat()
        except OSError:
            version.append(None)
        else:
            version.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(version)


def _shown(name: str) -> str:
    """A name that a stranger sent, short enough for a message."""
    return repr(name) if len(name) <= 60 else repr(name[:57]) + "..."
