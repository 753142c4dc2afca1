"""Every corpus: its folder, in the layout that it is downloaded in, becomes a manifest that the stage corpus takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nanowakeword.errors import ConfigError
from steps.__main__ import main
from steps.closure import CHECKOUT
from steps.commands.manifest import Counted, manifest_rows
from steps.corpora.corpus import CorpusFile
from steps.corpora.table import CORPORA, load_corpus
from steps.listing import NOT_STATED
from steps.manifests import KINDS, read_manifest, write_manifest
from steps.recordings import KEYWORD, load_recordings
from steps.stage import run_stage
from tests.steps.toy import workspace

Captured = pytest.CaptureFixture[str]


def sound(path: Path, *, seconds: float = 0.1, rate: int = 16_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.as_posix().encode())
    noise = np.random.default_rng(seed).integers(-9_000, 9_000, round(seconds * rate), dtype=np.int16)
    soundfile.write(path, noise, rate)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def librispeech(folder: Path) -> None:
    for reader, chapter in ((84, 121), (84, 122), (1272, 5)):
        home = folder / "LibriSpeech" / "dev-clean" / f"{reader}" / f"{chapter}"
        for number in range(2):
            sound(home / f"{reader}-{chapter}-{number:04d}.flac")
        lines = [f"{reader}-{chapter}-0000 GO DO YOU HEAR", f"{reader}-{chapter}-0001 HEY NANO SAID THE COMPUTER"]
        text(home / f"{reader}-{chapter}.trans.txt", *lines)
    text(folder / "LibriSpeech" / "SPEAKERS.TXT", ";ID |SEX| SUBSET |MINUTES| NAME", "84 | F | dev-clean | 8 | Name")


def common_voice(folder: Path) -> None:
    home = folder / "cv-corpus-17.0-2024-03-15" / "en"
    header = "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes"
    rows = [("a1", 1, '"No, he said.'), ("a1", 2, "Hey, Nano!"), ("b2", 3, "It's “fine”.")]
    for _, number, _ in rows:
        sound(home / "clips" / f"common_voice_en_{number}.mp3", rate=32_000)
    lines = [f"{who}\tcommon_voice_en_{number}.mp3\tx\t{words}\t\t2\t0" for who, number, words in rows]
    text(home / "validated.tsv", header, *lines, "c3\tcommon_voice_en_4.mp3\tx\tThe file is missing\t\t2\t0")
    text(home / "clip_durations.tsv", "clip\tduration[ms]", "common_voice_en_1.mp3\t4104")
    text(home / "other.tsv", header)


def musan(folder: Path) -> None:
    home = folder / "musan"
    for name in ("music/fma/music-fma-0000", "music/fma/music-fma-0001", "noise/free-sound/noise-free-sound-0000"):
        sound(home / f"{name}.wav")
    for name in ("speech/us-gov/speech-us-gov-0000", "speech/librivox/speech-librivox-0000"):
        sound(home / f"{name}.wav")
    licences = (
        "music-fma-0000\n  a title by an artist\n  http://creativecommons.org/licenses/by-sa/3.0/",
        "music-fma-0001: another title, by another artist, CC BY 3.0",
    )
    text(home / "music" / "fma" / "LICENSE", "The files:", *licences)
    text(home / "music" / "fma" / "ANNOTATIONS", "music-fma-0000 blues Y an_artist")
    text(home / "speech" / "us-gov" / "LICENSE", "speech-us-gov-0000.wav  Public Domain")
    text(home / "noise" / "free-sound" / "LICENSE", "All files were taken from the net.")


def esc50(folder: Path) -> None:
    home = folder / "ESC-50-master"
    rows = [("1-100032-A-0.wav", "dog", True, 100032), ("1-17367-A-10.wav", "rain", False, 17367)]
    for name, *_ in rows:
        sound(home / "audio" / name, rate=44_100)
    lines = [f"{name},1,0,{category},{esc10},{source},A" for name, category, esc10, source in rows]
    text(home / "meta" / "esc50.csv", "filename,fold,target,category,esc10,src_file,take", *lines)


def mit_rir(folder: Path) -> None:
    for name in ("h001_Bedroom_65txts.wav", "h270_Hallway_House_1txts.wav"):
        sound(folder / "Audio" / name, rate=32_000)
    sound(folder / "other" / "music.wav")


def demand(folder: Path) -> None:
    for place in ("DKITCHEN", "TCAR_16k"):
        for channel in (1, 2, 16):
            sound(folder / place / f"ch{channel:02d}.wav")


def manifest(folder: Path) -> None:
    header = "path,source,licence,kind,speaker,seconds"
    text(folder / "manifest.csv", header, "a/x.wav,here,MIT,keyword:hey nano,Anna,9", "a/y.flac,,,rir,,")
    sound(folder / "a" / "x.wav", seconds=0.25)
    sound(folder / "a" / "y.flac")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "common_voice": common_voice,
    "demand": demand,
    "esc50": esc50,
    "librispeech": librispeech,
    "manifest": manifest,
    "mit_rir": mit_rir,
    "musan": musan,
}


@pytest.fixture(params=CORPORA)
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def folder(name: str, tmp_path: Path) -> Path:
    LAYOUTS[name](tmp_path / "downloaded")
    return tmp_path / "downloaded"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_is_the_folder() -> None:
    files = {path.stem for path in (CHECKOUT / "steps" / "corpora").glob("*.py")}
    assert set(CORPORA) == files - {"__init__", "corpus", "table"}
    with pytest.raises(ConfigError, match="'nothing'; expected one of common_voice, demand"):
        load_corpus("nothing")


class TestEveryCorpus:
    def test_the_facts_are_told(self, name: str) -> None:
        corpus = load_corpus(name)
        told = corpus.__doc__ or ""
        assert told
        assert set(corpus.FACTS.kinds) <= {*KINDS, "keyword"}
        if name != "manifest":
            assert corpus.FACTS.url.startswith("https://")
            assert corpus.FACTS.url.split("/")[2] in corpus.FACTS.to_do
            assert f"{corpus.FACTS.hours:g}" in told.replace(",", "")
            if corpus.FACTS.licence != NOT_STATED:
                assert corpus.FACTS.licence.replace("-", " ") in told.replace("-", " ")
            if corpus.FACTS.speakers:
                assert f"{corpus.FACTS.speakers:,}" in told

    def test_files_are_described_in_full(self, name: str, folder: Path) -> None:
        corpus = load_corpus(name)
        files = list(corpus.prepare(folder))
        assert files
        assert len({file.path for file in files}) == len(files)
        for file in files:
            assert file.kind.split(":")[0] in corpus.FACTS.kinds
            assert file.source
            assert file.licence
            assert name == "manifest" or corpus.FACTS.source in file.source

    def test_it_does_not_matter_where_in_it_one_starts(self, name: str, folder: Path) -> None:
        corpus = load_corpus(name)
        expected = {file.path.resolve(): file for file in corpus.prepare(folder)}
        inner = min(path for path in folder.iterdir() if path.is_dir())
        for start in [folder] if name == "manifest" else [folder, inner]:
            for file in corpus.prepare(start):
                known = expected[file.path.resolve()]
                assert (file.licence, file.source, file.speaker) == (known.licence, known.source, known.speaker)

    def test_something_else_is_refused(self, name: str, tmp_path: Path) -> None:
        corpus = load_corpus(name)
        sound(tmp_path / "mine" / "a.wav")
        for place in ("mine", "nowhere"):
            with pytest.raises(ConfigError) as refused:
                list(corpus.prepare(tmp_path / place))
            assert corpus.FACTS.title in str(refused.value)
            assert corpus.FACTS.to_do in str(refused.value)

    def test_the_manifest_goes_through_the_stage(
        self, name: str, folder: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        output = tmp_path / "lists" / "manifest.csv"
        assert main(["manifest", name, str(folder), "-o", str(output)]) == 0
        told = capsys.readouterr()
        rows = table(output)
        assert f"{output}: {len(rows)} recordings" in told.out
        assert ("left out 1" in told.err) == (name == "common_voice")
        assert all(float(row["seconds"]) > 0.0 for row in rows)
        workspace(tmp_path / "w", {"corpus": {"real": str(output)}}, each=1)
        run_stage("corpus", root=tmp_path / "w")
        recordings = load_recordings(tmp_path / "w" / "artifacts" / "corpus")
        assert len(recordings) == len(rows)
        for recording, row in zip(recordings, rows, strict=True):
            assert (recording.kind, recording.speaker) == (row["kind"], row["speaker"])
            assert (recording.source, recording.licence) == (row["source"], row["licence"])
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def prepared(name: str, folder: Path) -> dict[str, CorpusFile]:
    LAYOUTS[name](folder)
    return {file.path.name: file for file in load_corpus(name).prepare(folder)}


def test_librispeech_knows_its_readers(tmp_path: Path) -> None:
    files = prepared("librispeech", tmp_path)
    assert files["84-121-0000.flac"].speaker == files["84-122-0001.flac"].speaker == "librispeech 84"
    assert files["1272-5-0000.flac"].text == "GO DO YOU HEAR"


def test_common_voice_knows_lengths_sentences_and_its_release(tmp_path: Path) -> None:
    files = prepared("common_voice", tmp_path)
    first = files["common_voice_en_1.mp3"]
    assert (first.seconds, first.speaker, first.text) == (4.104, "common voice a1", '"No, he said.')
    assert first.source == "Common Voice (https://commonvoice.mozilla.org), en, release 17.0-2024-03-15"
    assert files["common_voice_en_3.mp3"].seconds is None


def test_musan_takes_the_licence_of_each_file(tmp_path: Path) -> None:
    files = prepared("musan", tmp_path)
    licences = {name.removesuffix(".wav"): file.licence for name, file in files.items()}
    assert licences == {
        "music-fma-0000": "CC-BY-SA-3.0",
        "music-fma-0001": "CC-BY-3.0",
        "noise-free-sound-0000": "CC-BY-4.0",
        "speech-us-gov-0000": "Public domain",
        "speech-librivox-0000": "CC-BY-4.0",
    }
    assert files["speech-us-gov-0000.wav"].kind == "speech"


def test_esc50_is_not_for_commerce_but_its_part_is(tmp_path: Path) -> None:
    files = prepared("esc50", tmp_path)
    assert files["1-100032-A-0.wav"].licence == "CC-BY-3.0"
    assert files["1-17367-A-10.wav"].licence == "CC-BY-NC-3.0"
    assert files["1-17367-A-10.wav"].source.endswith(": rain, https://freesound.org/s/17367")


def test_demand_gives_one_microphone_of_each_place(tmp_path: Path) -> None:
    LAYOUTS["demand"](tmp_path)
    files = list(load_corpus("demand").prepare(tmp_path))
    assert [file.path.relative_to(tmp_path).as_posix() for file in files] == ["DKITCHEN/ch01.wav", "TCAR_16k/ch01.wav"]


@pytest.mark.parametrize(("phrase", "left_out"), [("hey nano", 3), ("Hey  Nano", 3), ("he", 0), ("the computer", 3)])
def test_recordings_of_the_phrase_are_no_negatives(phrase: str, left_out: int, tmp_path: Path) -> None:
    LAYOUTS["librispeech"](tmp_path)
    counted = Counted()
    rows = list(manifest_rows(load_corpus("librispeech").prepare(tmp_path), without=[phrase], counted=counted))
    assert (len(rows), counted.spoken) == (6 - left_out, left_out)


def test_the_phrase_in_a_sentence_with_marks(tmp_path: Path, capsys: Captured) -> None:
    LAYOUTS["common_voice"](tmp_path)
    output = tmp_path / "m.csv"
    assert main(["manifest", "common_voice", str(tmp_path), "-o", str(output), "--without", "hey nano"]) == 0
    assert "1 left out that hold 'hey nano'" in capsys.readouterr().out
    assert [row["path"].rsplit("_")[-1] for row in table(output)] == ["1.mp3", "3.mp3"]


def test_what_cannot_be_read_is_named(tmp_path: Path, capsys: Captured) -> None:
    LAYOUTS["demand"](tmp_path)
    (tmp_path / "DKITCHEN" / "ch01.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "TCAR_16k" / "ch01.wav", np.zeros(0, np.int16), 16_000)
    output = tmp_path / "m.csv"
    assert main(["manifest", "demand", str(tmp_path), "-o", str(output)]) == 1
    told = capsys.readouterr().err
    assert "no recording in" in told
    assert "ch01.wav (no samples)" in told
    assert not output.exists()


def test_manifests_can_be_moved_with_their_folder(tmp_path: Path) -> None:
    LAYOUTS["mit_rir"](tmp_path / "a")
    sound(tmp_path / "elsewhere" / "h002_Street_3txts.wav")
    files = [*load_corpus("mit_rir").prepare(tmp_path / "a"), *load_corpus("mit_rir").prepare(tmp_path / "elsewhere")]
    write_manifest(manifest_rows(files, counted=Counted()), tmp_path / "a" / "manifest.csv")
    (tmp_path / "a").rename(tmp_path / "b")
    listed = read_manifest(tmp_path / "b" / "manifest.csv")
    assert [item.path.is_file() for item in listed] == [True] * 3
    assert [Path(item.name).is_absolute() for item in listed] == [False, False, True]


def test_a_manifest_that_cannot_be_finished_is_none(tmp_path: Path) -> None:
    text(tmp_path / "manifest.csv", "the one before")

    sound(tmp_path / "a" / "x.wav")

    def breaks() -> Iterator[CorpusFile]:
        yield CorpusFile(path=tmp_path / "a" / "x.wav", kind="noise", source="here", licence="MIT")
        raise ConfigError("something")

    with pytest.raises(ConfigError):
        write_manifest(manifest_rows(breaks(), counted=Counted()), tmp_path / "manifest.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "manifest.csv"]
    assert (tmp_path / "manifest.csv").read_text() == "the one before\n"


def test_several_manifests_are_one_corpus(tmp_path: Path) -> None:
    outputs = []
    for name in ("librispeech", "demand"):
        LAYOUTS[name](tmp_path / name)
        outputs.append(str(tmp_path / f"{name}.csv"))
        assert main(["manifest", name, str(tmp_path / name), "-o", outputs[-1]]) == 0
    workspace(tmp_path / "w", {"corpus": {"real": outputs}}, each=1)
    run_stage("corpus", root=tmp_path / "w")
    out = tmp_path / "w" / "artifacts" / "corpus"
    assert {recording.kind for recording in load_recordings(out)} == {"speech", "noise"}
    assert json.loads((out / "summary.json").read_text())["licences"] == {"CC-BY-4.0": 6, "CC-BY-SA-3.0": 2}


def test_keywords_keep_their_phrase(tmp_path: Path) -> None:
    files = prepared("manifest", tmp_path)
    assert files["x.wav"].kind == f"{KEYWORD}hey nano"
    assert files["y.flac"].licence == "not stated"
