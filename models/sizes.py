"""What may be asked of an architecture, known without torch: its name, sizes and knobs.

| knob | what it means, everywhere |
|---|---|
| `layer_size` | width: channels, hidden units or model dimension of a layer, of each member |
| `n_blocks` | how often the architecture's unit is repeated: a layer, a block, of BC-ResNet a stage |
| `embedding_dim` | width of a layer between the pooling over time and the logit; none by default |
| `activation_function` | of the layers whose paper leaves it open; refused where the paper fixes it |
| `pooling` | over the window: average and maximum of its channels, or the maximum of its frames' scores |
| `dropout_prob` | of what was pooled over time, and half of it between or within blocks |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from nanowakeword.errors import ConfigError

__all__ = [
    "ACTIVATIONS",
    "MAX_BLOCKS",
    "SIZES",
    "Network",
    "Pooling",
    "SizeName",
    "Sizes",
    "activations",
    "choose_network",
    "plain_name",
]

SizeName = Literal["tiny", "small", "medium"]
Pooling = Literal["average_max", "max"]
ACTIVATIONS: Final = ("relu", "gelu", "silu")
# With more, some front ends' context would leave no window to pool over.
MAX_BLOCKS: Final = 6


@dataclass(frozen=True, kw_only=True)
class Network:
    """Which network, nothing left open.

    Attributes:
        architecture: a key of `SIZES`.
        layer_size: width of each member.
        n_blocks: from 1 to `MAX_BLOCKS`.
        embedding_dim: None for no embedding.
        activation_function: one of `ACTIVATIONS`, or None where the architecture has its own.
        pooling: ``average_max``: average and maximum of each channel over the window, then a score; ``max``: a score of
            each frame, then the maximum.
    """

    architecture: str
    layer_size: int
    n_blocks: int
    embedding_dim: int | None = None
    activation_function: str | None = None
    pooling: Pooling = "average_max"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A row: ``(layer_size, n_blocks)`` of each size, and the activation unless another is asked for.

    Attributes:
        activation: None where the paper fixes it.
    """

    tiny: tuple[int, int]
    small: tuple[int, int]
    medium: tuple[int, int]
    activation: str | None


SIZES: Final[dict[str, Sizes]] = {
    "bcresnet": Sizes(tiny=(8, 3), small=(16, 4), medium=(32, 4), activation=None),
    "cnn": Sizes(tiny=(12, 2), small=(24, 2), medium=(56, 2), activation="relu"),
    "conformer": Sizes(tiny=(16, 1), small=(24, 2), medium=(40, 3), activation=None),
    "crnn": Sizes(tiny=(8, 1), small=(20, 1), medium=(32, 2), activation="relu"),
    "dnn": Sizes(tiny=(24, 2), small=(64, 3), medium=(128, 4), activation="relu"),
    "e_branchformer": Sizes(tiny=(16, 1), small=(24, 2), medium=(40, 3), activation=None),
    "gru": Sizes(tiny=(24, 1), small=(64, 1), medium=(96, 2), activation=None),
    "lstm": Sizes(tiny=(20, 1), small=(56, 1), medium=(80, 2), activation=None),
    "quartznet": Sizes(tiny=(24, 2), small=(56, 3), medium=(96, 4), activation="relu"),
    "rnn": Sizes(tiny=(48, 1), small=(96, 2), medium=(160, 3), activation=None),
    "tcn": Sizes(tiny=(24, 3), small=(64, 2), medium=(112, 3), activation="relu"),
    "transformer": Sizes(tiny=(16, 2), small=(32, 2), medium=(48, 4), activation="relu"),
}


def plain_name(architecture: str) -> str | None:
    """Key of `SIZES` for a usual spelling of it: ``LSTM``, ``BC-ResNet``, ``E-Branchformer``; None for no such one."""
    letters = "".join(letter for letter in architecture.lower() if letter not in "-_ ")
    return next((name for name in SIZES if name.replace("_", "") == letters), None)


def activations(architecture: str) -> tuple[str, ...]:
    """Values of ``activation_function`` that an architecture takes; none where its paper fixes it."""
    return ACTIVATIONS if SIZES[architecture].activation is not None else ()


def choose_network(
    architecture: str,
    *,
    size: SizeName = "small",
    layer_size: int | None = None,
    n_blocks: int | None = None,
    embedding_dim: int | None = None,
    activation_function: str | None = None,
    pooling: Pooling = "average_max",
) -> Network:
    """A network of a size, with knobs that differ from it.

    Args:
        architecture: in any spelling that `plain_name` knows.
        size: what is left open below comes from it.
        layer_size: see the table above; None for the size's.
        n_blocks: None for the size's.
        embedding_dim: None for no embedding.
        activation_function: None for the architecture's.
        pooling: see `Network`.

    Raises:
        ConfigError: unknown architecture, or a knob that it has not.
    """
    name = plain_name(architecture)
    if name is None:
        raise ConfigError("architecture", got=repr(architecture), expected=f"one of {', '.join(SIZES)}")
    row = SIZES[name]
    if activation_function is not None and activation_function not in activations(name):
        expected = ", ".join(activations(name)) or f"null: {name} has its own"
        raise ConfigError("activation_function", got=repr(activation_function), expected=expected)
    blocks = getattr(row, size)[1] if n_blocks is None else n_blocks
    if not 1 <= blocks <= MAX_BLOCKS:
        raise ConfigError("n_blocks", got=blocks, expected=f"1 to {MAX_BLOCKS}")
    return Network(
        architecture=name,
        layer_size=getattr(row, size)[0] if layer_size is None else layer_size,
        n_blocks=blocks,
        embedding_dim=embedding_dim,
        activation_function=activation_function or row.activation,
        pooling=pooling,
    )
