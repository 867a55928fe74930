"""A control that is switched off on purpose, as opposed to one whose figure is missing: that one refuses."""

from enum import StrEnum


class Off(StrEnum):
    """Say so."""

    OFF = "off"


OFF = Off.OFF
