"""Workspaces: settings laid over settings, nothing of the user's lost, the checkout's code and cache shared."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nanowakeword.errors import ConfigError
from steps.__main__ import main
from steps.closure import CHECKOUT
from steps.pipeline import pipeline_text
from steps.settings import load_settings
from steps.workspace import prepare_workspace

BASE = (CHECKOUT / "params.yaml").read_text("utf-8")


def changed_lines(folder: Path) -> set[str]:
    """Lines of a workspace's settings that the checkout's do not have."""
    return {
        line.strip() for line in set((folder / "params.yaml").read_text("utf-8").splitlines()) - set(BASE.splitlines())
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def test_without_wishes_it_equals_the_checkout(folder: Path) -> None:
    workspace = prepare_workspace(folder)
    assert workspace.folder == folder
    assert not workspace.edited
    assert (folder / "params.yaml").read_text("utf-8") == BASE
    assert (folder / "dvc.yaml").read_text("utf-8") == (CHECKOUT / "dvc.yaml").read_text("utf-8")
    assert (folder / ".dvcignore").read_bytes() == (CHECKOUT / ".dvcignore").read_bytes()


def test_wishes_change_their_lines_only_and_comments_stay(folder: Path) -> None:
    isbl = next(line.split("isbl: ")[1] for line in BASE.splitlines() if "isbl: " in line)
    prepare_workspace(folder, phrase="ok  house", name="house", options=["train.steps=3", "train.isbl.loss_cap=null"])
    assert changed_lines(folder) == {
        "phrase: ok  house",
        "name: house         # file name of the model; null: the phrase in snake case",
        "steps: 3            # 600 where the phrase has 3,300 windows",
        f"isbl: {isbl.replace('loss_cap: 2.0', 'loss_cap: null')}",
    }
    assert len((folder / "params.yaml").read_text("utf-8").splitlines()) == len(BASE.splitlines())


def test_sections_are_merged_and_everything_else_is_replaced(folder: Path) -> None:
    options = [
        "synthesize.engines={espeak: 1.0}",
        "features.frontends=[logmel]",
        "corpus.split={train: 0.1, test: 0.5}",
    ]
    settings = prepare_workspace(folder, options=options).settings
    assert settings.synthesize.engines == {"espeak": 1.0}
    assert settings.features.frontends == ("logmel",)
    assert settings.corpus.split.model_dump() == {"train": 0.1, "calibration": 0.4, "test": 0.5}
    assert settings == load_settings(folder / "params.yaml")


def test_an_option_names_one_key_of_a_mapping_and_the_others_stay(folder: Path) -> None:
    options = ["train.batch_composition.neighbour=20", "synthesize.engines.piper=0.5"]
    settings = prepare_workspace(folder, options=options).settings
    default = load_settings(CHECKOUT / "params.yaml")
    assert settings.train.batch_composition == {**default.train.batch_composition, "neighbour": 20}
    assert settings.synthesize.engines == {**default.synthesize.engines, "piper": 0.5}


def test_quick_settings(folder: Path) -> None:
    quick = prepare_workspace(folder, overlays=[CHECKOUT / "quick.yaml"]).settings
    full = load_settings(CHECKOUT / "params.yaml")
    assert quick.synthesize.positives < full.synthesize.positives
    assert quick.augment.negatives < full.augment.negatives
    assert quick.train.members < full.train.members
    assert quick.wakeword == full.wakeword
    assert quick.evaluate == full.evaluate  # weaker, and measured in the same way


def test_later_wishes_win(folder: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "more.yaml"
    overlay.write_text("train: {steps: 11, members: 2}\nwakeword: {phrase: never}\n")
    overlays = [CHECKOUT / "quick.yaml", overlay]
    settings = prepare_workspace(folder, phrase="ok house", overlays=overlays, options=["train.steps=12"]).settings
    assert (settings.train.steps, settings.train.members, settings.wakeword.phrase) == (12, 2, "ok house")


def test_errors_come_at_once_and_nothing_is_written(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_workspace(folder, phrase="r2 d2", options=["train.stepz=3", "lr=1", "train.isbl.alpha=-1"])
    message = str(caught.value)
    assert message.startswith(f"{CHECKOUT / 'params.yaml'} + options: 4 wrong settings\n")
    for part in (
        "wakeword.phrase: got the characters '2'",
        "train.stepz: unknown key",
        "lr: unknown",
        "train.isbl.alpha",
    ):
        assert part in message
    assert not folder.exists()


def test_an_existing_workspace_survives_a_wrong_wish(folder: Path) -> None:
    prepare_workspace(folder, phrase="ok house")
    before = snapshot(folder)
    with pytest.raises(ConfigError, match=r"train\.steps: got 0"):
        prepare_workspace(folder, phrase="ok house", options=["train.steps=0"])
    assert snapshot(folder) == before


@pytest.mark.parametrize("option", ["train.steps", "=3", "train..steps=3", "train.steps=[1"])
def test_an_option_that_cannot_be_read(folder: Path, option: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        prepare_workspace(folder, options=[option])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"train: {steps: 1", "is not valid YAML"), (b"- 1", "expected a part of params.yaml"), (b"\xff", "is not valid")],
)
def test_an_overlay_that_cannot_be_read(folder: Path, tmp_path: Path, content: bytes, message: str) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        prepare_workspace(folder, overlays=[overlay])
    with pytest.raises(ConfigError, match="cannot read settings"):
        prepare_workspace(folder, overlays=[tmp_path / "absent.yaml"])


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my ${recordings}" / "manifest.csv"
    path.parent.mkdir()
    path.write_text("path,source,licence,kind,speaker,seconds\n")
    return path


class TestAgain:
    def test_the_same_wishes_change_nothing(self, folder: Path) -> None:
        prepare_workspace(folder, phrase="ok house", overlays=[CHECKOUT / "quick.yaml"])
        (folder / "artifacts").mkdir()
        (folder / "artifacts" / "result").write_text("")
        before = snapshot(folder)
        times = {path: path.lstat().st_mtime_ns for path in (folder / "params.yaml", folder / "dvc.yaml")}
        assert not prepare_workspace(folder, phrase="ok house", overlays=[CHECKOUT / "quick.yaml"]).edited
        assert snapshot(folder) == before
        assert {path: path.lstat().st_mtime_ns for path in times} == times

    def test_other_wishes_replace_the_ones_before(self, folder: Path) -> None:
        prepare_workspace(folder, phrase="ok house", options=["train.steps=3"])
        settings = prepare_workspace(folder, phrase="ok flat").settings
        assert (settings.wakeword.phrase, settings.train.steps) == ("ok flat", "auto")

    def test_what_it_is_for_is_kept(self, folder: Path, manifest: Path) -> None:
        prepare_workspace(folder, phrase="ok house", name="house", real=manifest, options=["train.steps=3"])
        settings = prepare_workspace(folder).settings
        assert (settings.wakeword.phrase, settings.wakeword.name) == ("ok house", "house")
        assert settings.corpus.real == (str(manifest),)
        assert settings.train.steps == "auto"
        assert prepare_workspace(folder, options=["corpus.real=null"]).settings.corpus.real == ()

    def test_edits_by_hand_are_kept(self, folder: Path) -> None:
        prepare_workspace(folder, phrase="ok house", overlays=[CHECKOUT / "quick.yaml"])
        params = folder / "params.yaml"
        params.write_text(params.read_text("utf-8").replace("  sentences: 500 ", "  sentences: 123 # mine "))
        edited = prepare_workspace(folder, phrase="ok house", overlays=[CHECKOUT / "quick.yaml"])
        assert edited.edited
        assert edited.settings.phrases.sentences == 123
        assert "sentences: 123 # mine" in params.read_text("utf-8")

    def test_a_new_wish_is_laid_over_edits_once(self, folder: Path) -> None:
        prepare_workspace(folder, phrase="ok house")
        params = folder / "params.yaml"
        params.write_text(params.read_text("utf-8").replace("layer_size: null", "layer_size: 48"))
        settings = prepare_workspace(folder, phrase="ok house", options=["train.steps=9"]).settings
        assert (settings.train.layer_size, settings.train.steps) == (48, 9)
        params.write_text(params.read_text("utf-8").replace("steps: 9", "steps: 10"))
        settings = prepare_workspace(folder, phrase="ok house", options=["train.steps=9"]).settings
        assert (settings.train.layer_size, settings.train.steps) == (48, 10)

    def test_wrong_edits_are_told_and_kept(self, folder: Path) -> None:
        prepare_workspace(folder)
        params = folder / "params.yaml"
        params.write_text(params.read_text("utf-8").replace("corpus:", "corpsu:"))
        with pytest.raises(ConfigError, match='corpsu: unknown key; did you mean "corpus"'):
            prepare_workspace(folder, options=["corpus.real=null"])
        assert "corpsu:" in params.read_text("utf-8")


class TestFolder:
    def test_something_else_is_not_written_into(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("")
        with pytest.raises(ConfigError, match="holds other things"):
            prepare_workspace(tmp_path)
        with pytest.raises(ConfigError, match="got a file; expected a folder"):
            prepare_workspace(tmp_path / "thesis.tex")
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    @pytest.fixture
    def checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A checkout whose files may be written; the code is the real one's."""
        for file in ("params.yaml", "quick.yaml", ".dvcignore"):
            shutil.copyfile(CHECKOUT / file, tmp_path / file)
        (tmp_path / ".dvc").mkdir()
        shutil.copyfile(CHECKOUT / ".dvc" / "config", tmp_path / ".dvc" / "config")
        monkeypatch.setattr("steps.workspace.CHECKOUT", tmp_path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_the_checkout_is_one(self, checkout: Path) -> None:
        workspace = prepare_workspace()
        assert workspace.folder == checkout
        assert prepare_workspace(checkout) == workspace
        assert (checkout / "params.yaml").read_text("utf-8") == BASE
        assert (checkout / "dvc.yaml").read_text("utf-8") == pipeline_text(workspace.settings)
        with pytest.raises(ConfigError, match="is the checkout itself"):
            prepare_workspace(checkout, phrase="ok house")

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            (["--phrase", "ok house"], "ok_house"),
            (["--settings", "quick.yaml"], "quick"),
            (["--settings", "quick.yaml", "--phrase", "ok house"], "quick_ok_house"),
            (["--phrase", "ok house", "--name", "house-2"], "house-2"),
            (["--set", "train.steps=3"], "hey_nano"),
        ],
    )
    def test_it_is_named_by_what_is_wished(
        self, checkout: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], name: str
    ) -> None:
        assert main(["workspace", *arguments]) == 0
        folder = checkout / "workspaces" / name
        assert capsys.readouterr().out == f"{folder}\n"
        assert (folder / "steps").readlink() == Path("../../steps")
        assert "dir = ../../../.dvc/cache\n" in (folder / ".dvc" / "config").read_text()


class TestRecordings:
    def test_the_manifest_is_a_dependency_of_corpus(self, folder: Path, manifest: Path) -> None:
        relative = manifest.relative_to(Path.cwd())
        settings = prepare_workspace(folder, real=relative).settings
        assert settings.corpus.real == (str(manifest),)
        status = subprocess.run(
            [sys.executable, "-m", "dvc", "status", "corpus"], cwd=folder, capture_output=True, text=True, check=True
        )
        assert str(manifest) in status.stdout

    def test_no_manifest(self, folder: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"--real; got no file nowhere\.csv; expected the path of a manifest\.csv"
        ):
            prepare_workspace(folder, real=Path("nowhere.csv"))
        assert not folder.exists()

    def test_the_pipeline_follows_an_edit(self, folder: Path) -> None:
        prepare_workspace(folder)
        params = folder / "params.yaml"
        params.write_text(params.read_text("utf-8").replace("real: null", "real: recordings.csv"))
        assert main(["pipeline", "--workspace", str(folder)]) == 0
        text = (folder / "dvc.yaml").read_text("utf-8")
        assert "      - recordings.csv\n" in text
        assert text == pipeline_text(load_settings(params))


def test_code_runs_from_a_workspace(folder: Path) -> None:
    prepare_workspace(folder, phrase="ok house")
    command = [sys.executable, "-m", "steps", "check"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("settings are valid; the phrase is 'ok house'\n")
