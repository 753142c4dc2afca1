"""How texts sound, words and phonemes between slashes alike."""

from __future__ import annotations

from collections.abc import Sequence

from steps.espeak_ng import phonemes_of_each
from steps.phonemes import of_text
from steps.phonetic_distance import Pronunciations, phrase_distances
from steps.pronunciation import read_pronunciation, split_ipa
from steps.settings import Wakeword

__all__ = ["distances_from", "pronounce_each"]


def pronounce_each(texts: Sequence[str], *, language: str) -> list[list[str]]:
    """Phonemes of each text in IPA, those of its words end to end.

    Args:
        texts: words, or phonemes between slashes (see `steps.phonemes`).
        language: a code of espeak-ng.
    """
    spoken = phonemes_of_each((text for text in texts if of_text(text) is None), language=language)
    read = iter(spoken)
    return [
        [phoneme for word in next(read) for phoneme in word] if ipa is None else split_ipa(ipa, language=language)
        for ipa in map(of_text, texts)
    ]


def distances_from(wakeword: Wakeword, texts: Sequence[str]) -> list[float]:
    """How far texts are from the phrase, as `steps.phonetic_distance.phrase_distances`.

    Args:
        wakeword: the phrase, its language and, where it is given, its pronunciation.
        texts: words, or phonemes between slashes.
    """
    own, *others = pronounce_each([wakeword.phrase, *texts], language=wakeword.language)
    if wakeword.pronunciation is not None:
        words = read_pronunciation(wakeword.pronunciation, language=wakeword.language)
        own = [phoneme for word in words for phoneme in word]
    return [round(distance, 3) for distance in phrase_distances(own, Pronunciations(others)).tolist()]
