"""The espeak-ng library through ctypes: phonemes of a text, and speech.

Library and data come inside the package ``espeakng-loader`` (GPL-3.0-or-later), so nothing is installed by hand. Facts
measured with version 1.52: 70,000 phonemizations and 3,000 short clips a second on one core; some variants draw random
numbers seeded with the time of day unless a seed is set; speech still depends on what the process said before, so the
same bytes need a seed, a fresh process and the same order; terminating and initialising again hangs, so the library is
opened once a process.
"""

from __future__ import annotations

import ctypes
import functools
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from nanowakeword.errors import ConfigError, DependencyError

__all__ = ["SAMPLE_RATE_HZ", "alphabet", "languages", "missing", "phonemes", "phonemes_of_each", "speak"]

SAMPLE_RATE_HZ: Final = 22_050
# Numbers of espeak-ng/speak_lib.h.
_SYNCHRONOUS: Final = 2
_UTF8: Final = 1
_PHONEME_INPUT: Final = 0x100
_IPA: Final = 0x02
_NO_IPA: Final = re.compile(r"[-.^]|^\d+$")  # the library shows a mnemonic for which it has no letter
_SWITCH: Final = re.compile(r"\([^)]*\)")
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_VOLUME_PERCENT: Final = 60  # at 100, a tenth of the voices clip


class _Voice(ctypes.Structure):
    """``espeak_VOICE``."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class _Library:
    """The library, opened and initialised, and the samples it hands out."""

    def __init__(self) -> None:
        hint = missing()
        if hint is not None:
            raise DependencyError("espeak-ng is missing", hint=hint)
        import espeakng_loader

        self.c = ctypes.CDLL(espeakng_loader.get_library_path())
        rate_hz = self.c.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
        if rate_hz != SAMPLE_RATE_HZ:
            raise DependencyError("espeak-ng does not start", got=f"{rate_hz} Hz", expected=f"{SAMPLE_RATE_HZ} Hz")
        self.c.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.c.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        self.c.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        ]
        self.c.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        self.c.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self.samples: list[bytes] = []
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._keep_alive = kind(self._receive)
        self.c.espeak_SetSynthCallback(self._keep_alive)

    def _receive(self, wav: int | None, n_samples: int, _events: object) -> int:
        if wav and n_samples > 0:
            self.samples.append(ctypes.string_at(wav, 2 * n_samples))
        return 0

    def set_voice(self, voice: str) -> None:
        if self.c.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ConfigError("espeak-ng voice", got=repr(voice), expected="one of its voices, such as en-us+f2")


@functools.cache
def _library() -> _Library:
    return _Library()


def missing() -> str | None:
    """How to install the library, or None if it is there."""
    try:
        import espeakng_loader  # noqa: F401
    except ImportError:
        return 'Install it: pip install "espeakng-loader>=0.2.4"'
    return None


@functools.cache
def languages() -> dict[str, str]:
    """Language code, lower case, to the name of espeak-ng's voice for it, such as ``en-gb`` to ``gmw/en``."""
    found: dict[str, tuple[int, str]] = {}
    voices = _library().c.espeak_ListVoices(None)
    index = 0
    while voices[index]:
        voice = voices[index].contents
        address, identifier = voice.languages, voice.identifier.decode()
        # A voice's languages: a priority byte (low is better), a zero-ended code, and so on; a zero byte ends the list.
        while (priority := ctypes.string_at(address, 1)[0]) != 0:
            code = ctypes.string_at(address + 1)
            address += len(code) + 2
            key = code.decode().lower()
            if key not in found or priority < found[key][0]:
                found[key] = (priority, identifier)
        index += 1
    return {code: identifier for code, (_, identifier) in sorted(found.items())}


def phonemes(text: str, *, language: str) -> list[list[str]]:
    """IPA of a text: words, each a list of phonemes a stress mark in front of it.

    Args:
        text: in the language's script; punctuation is dropped.
        language: a key of `languages`.

    Raises:
        ConfigError: espeak-ng does not know the language.
    """
    return phonemes_of_each([text], language=language)[0]


def phonemes_of_each(texts: Iterable[str], *, language: str) -> list[list[list[str]]]:
    """IPA of many texts, each as `phonemes` gives it; five times as fast, since the language is set once."""
    known = languages()
    if language.lower() not in known:
        raise ConfigError("language", got=repr(language), expected=f"a code of espeak-ng: {', '.join(known)}")
    library = _library()
    library.set_voice(known[language.lower()])
    return [_read(library, text) for text in texts]


def _read(library: _Library, text: str) -> list[list[str]]:
    """Words of a text in IPA, in the language that is set."""
    position = ctypes.c_char_p(text.encode())
    words: list[list[str]] = []
    while position.value:
        ipa: bytes | None = library.c.espeak_TextToPhonemes(ctypes.byref(position), _UTF8, _IPA | ord("_") << 8)
        # "(en)" and the like mark a switch to another language's rules.
        text_of_clause = _SWITCH.sub("", (ipa or b"").decode())
        words += [[phoneme for phoneme in word.split("_") if phoneme] for word in text_of_clause.split()]
    return [word for word in words if word]


@functools.cache
def alphabet(language: str) -> dict[str, str]:
    """The sounds of a language: IPA as `phonemes` gives it, without stress, to the mnemonic that `speak` reads.

    The library is asked how it writes each of its 600 mnemonics before a vowel, where no sound is devoiced, or, for
    vowels, before a syllable; those that the language lacks come out as several sounds.

    Args:
        language: a key of `languages`.
    """
    library = _library()
    # Brackets are read once something has been spoken with the flag for it.
    speak("[[a]]", voice=languages()[language.lower()], words_per_minute=400, mnemonics=True)
    found: dict[str, str] = {}
    for mnemonic in _mnemonics():
        for after, n_sounds in (("|na", 3), ("|a", 2), ("", 1)):
            words = _read(library, f"[[{mnemonic}{after}]]")
            sounds = [sound for word in words for sound in word]
            if len(sounds) == n_sounds and (ipa := sounds[0].strip("ˈˌ")) and not _NO_IPA.search(ipa):
                found.setdefault(ipa, mnemonic)
                break
    return found


def _mnemonics() -> list[str]:
    """Names of all sounds in the library's tables, shortest first.

    The file ``phontab``: their number, then for each table its number of sounds, 35 bytes besides, and 16 bytes a sound
    that begin with its name.
    """
    import espeakng_loader

    data = (Path(espeakng_loader.get_data_path()) / "phontab").read_bytes()
    names: set[str] = set()
    place = 4
    for _ in range(data[0]):
        n_sounds = data[place]
        place += 36
        for start in range(place, place + 16 * n_sounds, 16):
            (name,) = struct.unpack_from("4s", data, start)
            names.add(name.rstrip(b"\0").decode("latin-1"))
        place += 16 * n_sounds
    return sorted((name for name in names if name.isprintable() and name.strip("_|' ,%=")), key=lambda n: (len(n), n))


def speak(
    text: str,
    *,
    voice: str,
    words_per_minute: int,
    pitch: int = 50,
    pitch_range: int = 50,
    mnemonics: bool = False,
    seed: int = 0,
) -> npt.NDArray[np.int16]:
    """Speech, int16 at 22,050 Hz.

    Args:
        text: words, or espeak-ng's phoneme mnemonics in double square brackets if ``mnemonics``.
        voice: language and speaker, such as ``en-us+f2``.
        words_per_minute: 80 to 450, normal 175.
        pitch: 0 to 99.
        pitch_range: 0 (monotone) to 99.
        mnemonics: read ``[[...]]`` as phonemes.
        seed: of the random numbers that some variants use, 0 to 2**31 - 1.

    Raises:
        ConfigError: espeak-ng does not know the voice.
    """
    library = _library()
    library.set_voice(voice)
    for parameter, value in (
        (_RATE, words_per_minute),
        (_VOLUME, _VOLUME_PERCENT),
        (_PITCH, pitch),
        (_RANGE, pitch_range),
    ):
        library.c.espeak_SetParameter(parameter, value, 0)
    library.c.espeak_ng_SetRandSeed(seed)
    library.samples.clear()
    raw = text.encode()
    flags = _UTF8 | (_PHONEME_INPUT if mnemonics else 0)
    library.c.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, flags, None, None)
    return np.frombuffer(b"".join(library.samples), np.int16)
