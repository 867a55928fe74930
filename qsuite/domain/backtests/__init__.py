"""Backtests: what a trader would have made of the past, on the code that trades on paper.

    terms         what is traded with: cash, costs, limits, seed
    feeds         the past in *periods*: the bars that end together, or the ticks between
    walk          a bar as the prints that the engine sees
    engine        a trading state of its own: the same orders, controls, fills and books as live
    sizes         how large an order is, known when it meets the market
    desk          what a trader sees, and may ask for
    traders       the protocol of a trader, and one that follows any algorithm
    run           play the periods, and say what came of it
    look_ahead    find a trader that knows what has not happened yet
    trades        its fills as round trips
    figures       what equity, trades and fills amount to
    outcome       both, of a run
    plan, record  what is asked for, and what is kept of it
    panel, grid, sweep, swept_*, deflated   thousands of parameter sets at once, over arrays

Invariant: a trader is asked after a period's close, sees what ended by then and nothing else, and what it asks for acts
from the next period's first print on.
"""
