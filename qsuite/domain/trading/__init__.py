"""Trading decisions, in the order an order meets them.

    order, commands   what an order is, with the table of its states; what may be asked of the engine
    decide            apply a command, then draw its consequences: the one door into this package
    place, replace, cancel, halt
                      one command each, or a few alike
    risk/             may it? -> None or a Refusal
    act               meet the venue: the market on paper (``paper/``), or each other (``book``, ``ladder``)
    settle            a fill: its commission, its cash and position (``account``), its double entry
    follow            what that means for others: legs of brackets (``legs``), reduce-only orders, stops of a book
    meet, trigger     ticks meet what rests (``resting``), and stops that were reached act
    watch             losses of the day and fills of strategies, which throw kill switches of their own
    state             all of it in memory, and what a batch changed of it (``changes``)
    audit             the hash chain that remembers each step; ``retell`` tells from it what happened

Beside them: ``steps`` that many commands share, ``due`` (who expires or arrives when), ``seen`` (client ids that were
used), ``sessions`` (when markets are open), ``valuation`` (what an account is worth), ``auction`` (a book's call).

Invariant: a decision depends on the state, the command and the instant given, and on nothing else.

Vocabulary:

    refused      a control said no to a new order; it is stored as REJECTED
    working      PENDING or PARTIAL: it can trade
    open         HELD, PENDING or PARTIAL: it can still change
    terminal     FILLED, CANCELLED, REJECTED or EXPIRED: it never changes again
    waiting      a working stop that the market has not reached; it rests, and acts once triggered
    resting      working and in its queue: by price, then by ``arrival``
    reserved     cash set aside for working orders, at the worst price they may trade
    leg          one of the two orders that protect what a bracket filled; the other is its ``oco``
    maker, taker the order that rested in a book, and the one that came to meet it
    mark         the price a symbol is valued at now
"""
