"""How the model leaves the pipeline: exported, measured, published."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from steps.settings.section import Section

__all__ = ["Evaluate", "Export", "Publish"]


class Export(Section):
    """The one-graph ONNX file."""

    opset: Annotated[int, Field(ge=18, le=21)]
    tolerance: Annotated[float, Field(gt=0.0)]
    int8: bool
    int8_tolerance: Annotated[float, Field(gt=0.0, le=1.0)]


class Evaluate(Section):
    """The measurement."""

    budgets_fa_per_hour: tuple[Annotated[float, Field(gt=0.0)], ...] = Field(strict=False, min_length=1)
    babble_snr_db: float
    refractory_s: Annotated[float, Field(ge=0.0)]
    tail_s: Annotated[float, Field(ge=0.0)]


class Publish(Section):
    """The files a user takes away."""

    budget_fa_per_hour: Annotated[float, Field(gt=0.0)]
