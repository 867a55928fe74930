"""A trained model: what it learnt from, how well it does on what it never saw, and whether it may be used.

    TRAINED ──beats its baselines──> usable
       └──────does not──────────────> kept for its figures; ``reason`` says what it fell short of

Invariants: a model never changes, training again makes another one; scores are of data that no choice was made on;
``usable`` is decided from ``scores`` and ``baselines`` when it is trained, never set by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class ModelKind(StrEnum):
    """What a model judges: texts, or the bars of a market."""

    SENTIMENT = "sentiment"
    MARKET = "market"


@dataclass(frozen=True, slots=True)
class Score:
    """A figure with its 95 % interval, where one was measured."""

    value: float
    low: float | None = None
    high: float | None = None


Scores = Mapping[str, Score]
"""Figures by their names, such as ``accuracy`` or ``macro_f1``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedOn:
    """What a model learnt from: a line for people, how many rows, and a digest of them (hex)."""

    description: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One trained model. Its id is that of the job that trained it, so that a job run twice makes one model.

    Models of one ``name`` are trainings of the same thing. ``baselines`` are the same figures of what it must beat, by
    its name. ``sha256`` (hex) and ``size_bytes`` are of its file.
    """

    id: UUID
    name: str
    kind: ModelKind
    algorithm: str
    created_by: UUID
    created_at: int
    trained_on: TrainedOn
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Scores = field(default_factory=dict)
    baselines: Mapping[str, Scores] = field(default_factory=dict)
    usable: bool
    reason: str
    sha256: str
    size_bytes: int
