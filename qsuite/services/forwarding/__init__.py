"""Commands of a process without the engine, sent on to the one that has it.

    handler, socket ──> Forwarder, Channel ──> Lines (pooled HTTP), WebSocket ──> the engine's process
                             │  ^
                             v  └── Proof: which client this is for, believed by processes with the same secret alone
                        Whereabouts (the lease)

Invariant: an acknowledgement that a client gets here was the engine's; whatever is not known is told to be unknown.
"""
