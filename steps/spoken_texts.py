"""How texts sound, words and phonemes between slashes alike."""

from __future__ import annotations

from collections.abc import Sequence

from steps.espeak_ng import phonemes_of_each
from steps.phonemes import of_text, split_ipa
from steps.phonetic_distance import Pronunciations, phrase_distances

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
        [phoneme for word in next(read) for phoneme in word] if ipa is None else split_ipa(ipa)
        for ipa in map(of_text, texts)
    ]


def distances_from(phrase: str, texts: Sequence[str], *, language: str) -> list[float]:
    """How far texts are from a phrase, as `steps.phonetic_distance.phrase_distances`."""
    own, *others = pronounce_each([phrase, *texts], language=language)
    return [round(distance, 3) for distance in phrase_distances(own, Pronunciations(others)).tolist()]
