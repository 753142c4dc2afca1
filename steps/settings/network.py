"""Which network is trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from models.sizes import MAX_BLOCKS, SIZES, Network, Pooling, SizeName, activations, choose_network, plain_name
from steps.settings.section import AutoSize, Section

__all__ = ["NetworkSection", "check_activation", "known_architecture"]


class NetworkSection(Section):
    """A section that says which network to train."""

    architecture: str
    size: AutoSize
    layer_size: Annotated[int, Field(ge=2, le=1_024)] | None
    n_blocks: Annotated[int, Field(ge=1, le=MAX_BLOCKS)] | None
    embedding_dim: Annotated[int, Field(ge=1, le=1_024)] | None
    activation_function: str | None
    pooling: Pooling

    def choose(self, architecture: str, size: SizeName) -> Network:
        """A network of this architecture and size, with the knobs asked for."""
        return choose_network(
            architecture,
            size=size,
            layer_size=self.layer_size,
            n_blocks=self.n_blocks,
            embedding_dim=self.embedding_dim,
            activation_function=self.activation_function,
            pooling=self.pooling,
        )

    @field_validator("architecture")
    @classmethod
    def _known(cls, architecture: str) -> str:
        return known_architecture(architecture)

    @field_validator("activation_function")
    @classmethod
    def _free(cls, function: str | None, info: ValidationInfo) -> str | None:
        if "architecture" in info.data:  # missing where it is wrong itself
            check_activation(function, info.data["architecture"])
        return function


def known_architecture(spelling: str) -> str:
    """Name of an architecture in any usual spelling.

    Raises:
        ValueError: there is no such one.
    """
    name = plain_name(spelling)
    if name is None:
        raise ValueError(f"got {spelling!r}; expected one of {', '.join(SIZES)}")
    return name


def check_activation(function: str | None, architecture: str) -> None:
    """Refuse an activation function that an architecture does not take.

    Raises:
        ValueError: it does not.
    """
    if function is not None and function not in activations(architecture):
        expected = ", ".join(activations(architecture)) or f"null: {architecture} has its own"
        raise ValueError(f"got {function!r}; expected {expected}")
