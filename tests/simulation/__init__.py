"""The whole order path in one process under every fault at once, replayable from a seed (after FoundationDB's testing).

    loop.py      virtual time: nobody waits, no threads, the same seed runs the same way
    server.py    a database in memory: transactions, locks, unique indexes, sessions (with matching.py)
    client.py    the driver's calls on it, any of which can fail or lose its answer
    process.py   the real engine over the real storage code; it can die at any step
    traders.py   clients who place, cancel, repeat themselves, lose answers and ask again
    weather.py   what goes wrong in a run, and how often
    world.py     one run of all of them
    judge.py     what must be true of every answer, and of the books at the end
    broken.py    the engine broken on purpose, to see that the judge notices

Real are the engine, the domain, and the reading and writing of documents. Replay a seed with its whole story by
``python -m tests.simulation SEED``.
"""
