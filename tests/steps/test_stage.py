"""The frame that stages run in: a finished folder or none, earlier results untouched, no stack trace for a full disk.

What is tried here is the frame, so the stage that runs in it is written in the test.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from nanowakeword.errors import ConfigError, NanoWakewordError, StorageError
from steps.__main__ import main
from steps.closure import CHECKOUT, closure
from steps.settings import Settings
from steps.stage import STAGES, Context, run_stage, stage_seconds

Run = Callable[[Context], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copyfile(CHECKOUT / "params.yaml", tmp_path / "params.yaml")
    return tmp_path


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Run], None]:
    def put_in(name: str, run: Run) -> None:
        module = ModuleType(f"steps.{name}")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"steps.{name}", module)

    return put_in


Install = Callable[[str, Run], None]


def write(context: Context) -> None:
    (context.out / "result.txt").write_text(context.settings.wakeword.phrase)


def files(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return found - {"checkpoints/seconds.json"}  # how long each stage took


def test_the_table_is_a_pipeline() -> None:
    seen: set[str] = set()
    for stage in STAGES.values():
        assert seen.issuperset(stage.inputs), f"{stage.name} needs a stage that comes later"
        assert set(stage.sections) <= set(Settings.model_fields)
        seen.add(stage.name)
    assert len({stage.out for stage in STAGES.values()}) == len(STAGES)


def test_a_finished_folder_is_put_in_place(root: Path, install: Install) -> None:
    install("phrases", write)
    run_stage("phrases", root=root)
    assert files(root) == {"params.yaml", "artifacts/phrases/result.txt"}
    assert [path.name for path in (root / "artifacts").iterdir()] == ["phrases"]


def test_a_second_run_replaces_the_folder(root: Path, install: Install) -> None:
    install("phrases", write)
    run_stage("phrases", root=root)
    (root / "artifacts" / "phrases" / "old.txt").write_text("")
    run_stage("phrases", root=root)
    assert files(root / "artifacts") == {"phrases/result.txt"}


def test_a_failing_stage_leaves_what_was_there(root: Path, install: Install) -> None:
    install("phrases", write)
    run_stage("phrases", root=root)

    def fail(context: Context) -> None:
        write(context)
        raise ConfigError("no")

    install("phrases", fail)
    with pytest.raises(ConfigError, match="no"):
        run_stage("phrases", root=root)
    assert files(root) == {"params.yaml", "artifacts/phrases/result.txt"}


def test_what_a_killed_run_left_is_cleared(root: Path, install: Install) -> None:
    left = root / "artifacts" / ".phrases.working"
    left.mkdir(parents=True)
    (left / "half.npy").write_text("")
    install("phrases", write)
    run_stage("phrases", root=root)
    assert files(root / "artifacts") == {"phrases/result.txt"}


def test_inputs_must_be_there(root: Path, install: Install) -> None:
    install("synthesize", write)
    with pytest.raises(
        ConfigError, match=r"stage phrases has not run; got no folder .*artifacts/phrases\. Run: dvc repro"
    ):
        run_stage("synthesize", root=root)
    assert files(root) == {"params.yaml"}


def test_unknown_stage(root: Path) -> None:
    with pytest.raises(ConfigError, match="stage; got 'nonsense'; expected one of phrases, synthesize"):
        run_stage("nonsense", root=root)


def test_wrong_settings_stop_it_before_anything_is_touched(root: Path) -> None:
    (root / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(ConfigError, match="13 wrong settings"):
        run_stage("phrases", root=root)
    assert files(root) == {"params.yaml"}


def test_it_is_remembered_how_long_each_stage_took(root: Path, install: Install) -> None:
    def sleep(context: Context) -> None:
        time.sleep(0.25)
        write(context)

    install("phrases", sleep)
    install("corpus", write)
    assert stage_seconds(root) == {}
    run_stage("corpus", root=root)
    run_stage("phrases", root=root)
    seconds = stage_seconds(root)
    assert list(seconds) == ["phrases", "corpus"]
    assert seconds["phrases"] >= 0.2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses(root: Path, install: Install, number: int) -> None:
    install("phrases", write)
    run_stage("phrases", root=root)

    def refuse(context: Context) -> None:
        raise OSError(number, os.strerror(number), str(context.out / "clips.npy"))

    install("phrases", refuse)
    with pytest.raises(StorageError) as caught:
        run_stage("phrases", root=root)
    assert str(caught.value) == (
        f"stage phrases was refused by the disk: {os.strerror(number)} ({root}/artifacts/.phrases.working/clips.npy). "
        "Free some space or choose another disk, then run again: finished stages stay as they are"
    )
    assert files(root) == {"params.yaml", "artifacts/phrases/result.txt"}


def save_numpy(context: Context) -> None:
    np.save(context.out / "big.npy", np.zeros(1_000_000))


def save_torch(context: Context) -> None:
    torch.save({"weights": torch.zeros(1_000_000)}, context.out / "big.pt")


def save_bytes(context: Context) -> None:
    (context.out / "big.bin").write_bytes(bytes(1_000_000))


@pytest.mark.parametrize("save", [save_numpy, save_torch, save_bytes])
def test_a_short_write(root: Path, install: Install, save: Run) -> None:
    """A limit on the size of files cuts writes short as a full disk does."""
    install("phrases", save)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError, match="stage phrases was refused by the disk"):
            run_stage("phrases", root=root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(root) == {"params.yaml"}


def test_other_errors_are_not_dressed_up(root: Path, install: Install) -> None:
    def crash(context: Context) -> None:
        raise RuntimeError("a bug")

    install("phrases", crash)
    with pytest.raises(RuntimeError, match="a bug"):
        run_stage("phrases", root=root)

    def lose(context: Context) -> None:
        (context.out / "absent").read_text()

    install("phrases", lose)
    with pytest.raises(FileNotFoundError):
        run_stage("phrases", root=root)
    assert files(root) == {"params.yaml"}


class TestCheckpoints:
    def checkpoints(self, root: Path, install: Install, *, name: str = "synthesize", finish: bool = True) -> Path:
        """Run a stage that leaves a checkpoint; returns its folder."""
        seen: list[Path] = []

        def run(context: Context) -> None:
            context.checkpoints.mkdir(parents=True, exist_ok=True)
            (context.checkpoints / "step").write_text("")
            seen.append(context.checkpoints)
            if not finish:
                raise ConfigError("stopped")

        install(name, run)
        if finish:
            run_stage(name, root=root)
        else:
            with pytest.raises(ConfigError, match="stopped"):
                run_stage(name, root=root)
        return seen[0]

    @pytest.fixture(autouse=True)
    def phrases(self, root: Path, install: Install) -> None:
        install("phrases", write)
        run_stage("phrases", root=root)

    def test_survive_a_run_that_stops(self, root: Path, install: Install) -> None:
        first = self.checkpoints(root, install, finish=False)
        assert (first / "step").exists()
        assert self.checkpoints(root, install) == first

    def test_are_others_for_other_settings_of_the_stage_only(self, root: Path, install: Install) -> None:
        def edit(before: str, after: str) -> None:
            text = (root / "params.yaml").read_text()
            assert before in text
            (root / "params.yaml").write_text(text.replace(before, after))

        first = self.checkpoints(root, install, finish=False)
        edit("size: auto", "size: medium")
        assert self.checkpoints(root, install, finish=False) == first
        edit("positives: 2400", "positives: 24")
        second = self.checkpoints(root, install, finish=False)
        edit("seed: 7", "seed: 8")
        third = self.checkpoints(root, install, finish=False)
        assert len({first, second, third}) == 3

    def test_are_others_for_other_inputs(self, root: Path, install: Install) -> None:
        first = self.checkpoints(root, install, finish=False)
        (root / "artifacts" / "phrases" / "result.txt").write_text("other words")
        assert self.checkpoints(root, install, finish=False) != first

    def test_are_others_for_other_code(
        self, root: Path, install: Install, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else a stage whose code was mended would go on with what the old code had left."""
        code = tmp_path_factory.mktemp("code")
        for path in closure("steps.synthesize"):
            (code / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / path, code / path)
        first = self.checkpoints(root, install, finish=False)
        monkeypatch.setattr("steps.stage.CHECKOUT", code)
        assert self.checkpoints(root, install, finish=False) == first
        with (code / "steps" / "clippack.py").open("a") as stream:
            stream.write("# mended")
        assert self.checkpoints(root, install, finish=False) != first

    def test_of_another_hash_go_when_the_stage_has_finished(self, root: Path, install: Install) -> None:
        other = self.checkpoints(root, install, finish=False)
        foreign = root / "checkpoints" / "train-0123456789abcdef"
        foreign.mkdir()
        (root / "artifacts" / "phrases" / "result.txt").write_text("other words")
        kept = self.checkpoints(root, install)
        assert {path.name for path in (root / "checkpoints").iterdir()} == {kept.name, foreign.name, "seconds.json"}
        assert other != kept


class TestProgram:
    """``python -m steps``."""

    def test_a_stage(self, root: Path, install: Install) -> None:
        install("phrases", write)
        assert main(["phrases", "--workspace", str(root)]) == 0
        assert files(root / "artifacts") == {"phrases/result.txt"}

    def test_check(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", "--workspace", str(root)]) == 0
        told = capsys.readouterr().out.splitlines()
        assert told[0] == "settings are valid; the phrase is 'hey nano'"
        assert told[1].startswith("automatic, derived from the data by augment and train: augment.copies, ")

    def test_check_looks_for_the_recordings(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        params = root / "params.yaml"
        params.write_text(params.read_text().replace("real: null", "real: nowhere.csv"))
        assert main(["check", "--workspace", str(root)]) == 1
        expected = "error: corpus.real; got no file nowhere.csv; expected the path of a manifest.csv, or null\n"
        assert capsys.readouterr().err == expected
        (root / "nowhere.csv").write_text("path\n")
        assert main(["check", "--workspace", str(root)]) == 0

    def test_an_error_is_one_line(self, root: Path, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
        def fail(context: Context) -> None:
            raise NanoWakewordError("the thing", got=1, expected=2, hint="Do that")

        install("phrases", fail)
        assert main(["phrases", "--workspace", str(root)]) == 1
        assert capsys.readouterr().err == "error: the thing; got 1; expected 2. Do that\n"

    def test_interrupted(self, root: Path, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
        def stop(context: Context) -> None:
            raise KeyboardInterrupt

        install("phrases", stop)
        assert main(["phrases", "--workspace", str(root)]) == 130
        assert capsys.readouterr().err == "phrases: interrupted; run again to go on\n"

    def test_report(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["report", "--workspace", str(root)]) == 1
        assert "no model has been made here" in capsys.readouterr().err
        (root / "output").mkdir()
        (root / "output" / "report.md").write_text("# hey nano\n")
        (root / "output" / "hey_nano.onnx").write_bytes(bytes(1_500_000))
        assert main(["report", "--workspace", str(root)]) == 0
        model = root / "output" / "hey_nano.onnx"
        assert capsys.readouterr().out == f"# hey nano\n\nmodel: {model} (1.5 MB)\n"

    def test_typos_as_a_program(self, root: Path) -> None:
        params = root / "params.yaml"
        params.write_text(params.read_text().replace("  steps:", "  stepz:").replace("seed: 7", "seed: seven"))
        command = [sys.executable, "-m", "steps", "phrases", "--workspace", str(root)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith(
            f"error: {params}: 7 wrong settings\n  seed: got 'seven'; expected a valid integer\n"
        )
        assert "Traceback" not in done.stderr
