"""What goes wrong in a run, and how often: drawn whole from the seed before it begins.

Each kind of fault is off in about half of the runs, so that some runs meet one fault alone and others many together
(swarm testing: Groce et al., ISSTA 2012).
"""

from dataclasses import dataclass
from random import Random

CALM_S = (0.0001, 0.001)


@dataclass(frozen=True, slots=True)
class Weather:
    """Chances: ``*_rate`` per second of virtual time, the others per occasion."""

    broken: float = 0.0  # a statement's connection fails, before or after it was applied
    doubtful: float = 0.0  # the answer to a commit is lost
    fatal: float = 0.0  # the process dies at a statement
    usurped: float = 0.0  # at a statement another process takes the engine
    slow: float = 0.0  # a piece of storage work takes seconds
    mistaken: float = 0.0  # a living holder of the lease is taken for dead
    deaf: float = 0.0  # a client does not get its answer
    crash_rate: float = 0.0  # the process dies anywhere
    restart_rate: float = 0.0  # the process is told to stop, and a new one is started
    jump_rate: float = 0.0  # the clock of a process is set
    standby: bool = False  # a second process stands by from the start

    @classmethod
    def drawn(cls, random: Random) -> "Weather":
        def maybe(*values: float) -> float:
            return random.choice(values) if random.random() < 0.5 else 0.0

        return cls(
            broken=maybe(0.002, 0.01, 0.03),
            doubtful=maybe(0.05, 0.2, 0.5),
            fatal=maybe(0.001, 0.005),
            usurped=maybe(0.002, 0.01),
            slow=maybe(0.02, 0.1),
            mistaken=maybe(0.1, 0.5),
            deaf=maybe(0.1, 0.3),
            crash_rate=maybe(0.5, 2.0),
            restart_rate=maybe(0.3),
            jump_rate=maybe(0.5, 2.0),
            standby=random.random() < 0.5,
        )


CALM = Weather()
