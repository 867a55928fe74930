"""The rules of ``technical_indicators_v1`` in plain arithmetic, from their published wording; nothing of ours called.

Means are exact fractions; Wilder's index and the MACD lines begin as their authors and TA-Lib have it, with a mean.
"""

import itertools
from collections.abc import Sequence
from fractions import Fraction


def plain_advice(closes: Sequence[float], volumes: Sequence[float]) -> tuple[str, Fraction]:
    """Return the advice at the newest of these bars, and its confidence; there must be fifty of them."""
    tenths = Fraction(0)
    index = _rsi(closes, 14)
    tenths += 3 if index < 30 else -3 if index > 70 else 0
    price, fast, slow = Fraction(closes[-1]), _mean(closes[-20:]), _mean(closes[-50:])
    tenths += 2 if price > fast > slow else -2 if price < fast < slow else 0
    tenths += 1 if _macd_above_its_signal(closes) else -1
    if Fraction(volumes[-1]) > Fraction(3, 2) * _mean(volumes[-20:]):
        tenths *= Fraction(12, 10)
    score = tenths / 10
    sure = min(abs(score), Fraction(1))
    if score > Fraction(3, 10):
        return "BUY", sure
    return ("SELL", sure) if score < -Fraction(3, 10) else ("HOLD", 1 - sure)


def _mean(values: Sequence[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0)) / len(values)


def _rsi(closes: Sequence[float], length: int) -> float:
    moves = [after - before for before, after in itertools.pairwise(closes)]
    gain = sum(max(move, 0.0) for move in moves[:length]) / length
    loss = sum(max(-move, 0.0) for move in moves[:length]) / length
    for move in moves[length:]:
        gain = (gain * (length - 1) + max(move, 0.0)) / length
        loss = (loss * (length - 1) + max(-move, 0.0)) / length
    return 100 * gain / (gain + loss) if gain + loss else 0.0


def _macd_above_its_signal(closes: Sequence[float]) -> bool:
    fast, slow = sum(closes[14:26]) / 12, sum(closes[:26]) / 26
    line = [fast - slow]
    for close in closes[26:]:
        fast += (close - fast) * 2 / 13
        slow += (close - slow) * 2 / 27
        line.append(fast - slow)
    signal = sum(line[:9]) / 9
    for value in line[9:]:
        signal += (value - signal) * 2 / 10
    return line[-1] > signal
