"""Streams across processes: one publishes through Redis, any number of gateways send on (docs/adr/0027).

    engine's process:  hub ──> Relay ──> Publisher ──XADD──┐                  ┌──> Uplink ──> Mirror, hub  (a gateway)
                                ^                          ├── Redis, two ────┤
                                └──────── Asks <───XREAD───┘   short streams  └──< asks: which channels, since when

Redis carries and keeps nothing that matters. What is lost on the way is seen by its number, and told to readers as a
gap with a snapshot; while Redis is away a gateway tells what it reads from the database, as a process that stands by.
"""
