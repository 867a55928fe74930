"""The indicators of ``catalog``, one bar at a time: the values of the whole series, without computing it again."""

from qsuite.domain.analytics.live.indicator import LiveIndicator, LivePanel

__all__ = ["LiveIndicator", "LivePanel"]
