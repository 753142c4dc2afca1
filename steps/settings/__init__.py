"""The settings: ``params.yaml``, typed and validated whole before the first slow second.

One section per stage. Unknown keys are refused with the known ones named, and all errors come at once.
"""

from steps.settings.delivery import Evaluate, Export, Publish
from steps.settings.network import NetworkSection
from steps.settings.reading import load_settings, parse_settings
from steps.settings.recordings import Corpus, RawAudio, RealSplit
from steps.settings.section import AUTO, Section
from steps.settings.speech import ENGINES, Phrases, Synthesize, Wakeword
from steps.settings.training import (
    POOLS,
    Average,
    Distill,
    Finetune,
    Isbl,
    Margin,
    NegativesUp,
    NpySource,
    SettledTrain,
    SpecAugment,
    Train,
)
from steps.settings.whole import AUTOMATIC, Settings
from steps.settings.windows import FRONT_ENDS, Augment, Features, Shares

__all__ = [
    "AUTO",
    "AUTOMATIC",
    "ENGINES",
    "FRONT_ENDS",
    "POOLS",
    "Augment",
    "Average",
    "Corpus",
    "Distill",
    "Evaluate",
    "Export",
    "Features",
    "Finetune",
    "Isbl",
    "Margin",
    "NegativesUp",
    "NetworkSection",
    "NpySource",
    "Phrases",
    "Publish",
    "RawAudio",
    "RealSplit",
    "Section",
    "Settings",
    "SettledTrain",
    "Shares",
    "SpecAugment",
    "Synthesize",
    "Train",
    "Wakeword",
    "load_settings",
    "parse_settings",
]
