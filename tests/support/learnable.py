"""Markets to learn from: one whose volume tells the next move, and one that nothing tells."""

import numpy as np

from qsuite.domain.analytics.series import Candles
from qsuite.domain.times import DAY_NS


def market(seed: int, bars: int = 1_500, edge: float = 0.0) -> Candles:
    """Return daily bars that open at the last close; ``edge`` is how many standard deviations a high volume adds.

    A volume above its usual 1,000 shifts the next bar's return up by ``edge``, one below it shifts it down. With no
    edge it is a random walk.
    """
    generator = np.random.default_rng(seed)
    volumes = generator.choice((500.0, 1_500.0), bars)
    noise = 0.01 * generator.normal(size=bars)
    told = np.concatenate(([0.0], np.where(volumes[:-1] > 1_000.0, edge, -edge))) * 0.01
    closes = 100.0 * np.exp(np.cumsum(noise + told))
    opens = np.concatenate(([100.0], closes[:-1]))
    wide = 1.0 + 0.002 * generator.random(bars)
    highs, lows = np.maximum(opens, closes) * wide, np.minimum(opens, closes) / wide
    return Candles(DAY_NS * np.arange(bars), opens, highs, lows, closes, volumes)
