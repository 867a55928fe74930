"""Trading decisions, in the order an order meets them.

    order.py     what an order is, and the table of its states
    commands.py  what may be asked of the engine
    risk.py      may it?              -> None or a Refusal
    paper.py     does it trade, at what price?
    account.py   what a fill does to cash and positions
    audit.py     the hash chain that remembers each step
    state.py     all of it in memory: apply a command, collect what changed

Vocabulary:

    refused      a control said no to a new order; it is stored as REJECTED
    working      PENDING or PARTIAL: it can trade
    open         HELD, PENDING or PARTIAL: it can still change
    terminal     FILLED, CANCELLED, REJECTED or EXPIRED: it never changes again
    reserved     cash set aside for working buys, at the worst price they may trade
"""
