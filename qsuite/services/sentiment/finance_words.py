"""Words that mean something else, or something at all, in the news of markets: ours, beside VADER's everyday lexicon.

VADER's words were rated by people reading tweets, films and products. It gives *fall* and *surge* nothing, and likes
*shares* and *interest*. The groups below were written down from general knowledge of how markets are reported, before
any labelled text was looked at; valences follow VADER's scale, from -4 to 4.
"""

from collections.abc import Iterator, Mapping

GROUPS: tuple[tuple[float, str], ...] = (
    # A figure or a price that goes up, or somebody who thinks it will.
    (
        1.5,
        "rise rises rose risen rising higher climb climbs climbed climbing up upward upside increase increases "
        "increased increasing grow grows grew grown growing growth expand expands expanded expanding expansion raise "
        "raises raised upgrade upgrades upgraded",
    ),
    # The same, much or against what was expected.
    (
        2.2,
        "surge surges surged surging soar soars soared soaring jump jumps jumped jumping rally rallies rallied "
        "rallying rocket rocketed skyrocket skyrockets beat beats beating outperform outperforms outperformed exceed "
        "exceeds exceeded record bullish breakout rebound rebounds rebounded",
    ),
    # One that goes down, comes late or comes to less.
    (
        -1.5,
        "fall falls fell fallen falling lower slip slips slipped slipping down downward downside decrease decreases "
        "decreased decreasing decline declines declined declining shrink shrinks shrank dip dips dipped ease eases "
        "eased cut cuts cutting downgrade downgrades downgraded weaken weakens weakened miss misses missed lag lags "
        "lagged delay delays delayed",
    ),
    # The same, much; and what threatens a company's life, its books or its name.
    (
        -2.2,
        "plunge plunges plunged plunging slump slumps slumped slumping tumble tumbles tumbled tumbling sink sinks sank "
        "plummet plummets plummeted crash crashes crashed drop drops dropped dropping slide slides slid bearish "
        "bankruptcy bankrupt insolvency insolvent default defaults defaulted layoff layoffs redundancies writedown "
        "impairment lawsuit sues sued probe probes investigation recall recalls recalled shortfall selloff "
        "underperform underperforms underperformed loss losses warning warns warned halt halts halted",
    ),
    # Nice or nasty elsewhere, here the plain name of a thing: a share, gross profit, interest paid, a vice president.
    (0.0, "share shares mutual gross interest vice stake outstanding tank bull bear"),
)


def finance_words() -> Mapping[str, float]:
    """Return the valence of each word."""
    return dict(_pairs())


def _pairs() -> Iterator[tuple[str, float]]:
    for valence, words in GROUPS:
        for word in words.split():
            yield word, valence
