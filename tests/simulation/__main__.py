"""Tell the story of one seed: ``python -m tests.simulation SEED``. Exits with 1 if it fails."""

import sys

from tests.simulation.world import Failed, run_seed


def main(seed: int) -> int:
    """Run a seed and print what happened."""
    try:
        world, verdict = run_seed(seed), "all is well"
    except Failed as failed:
        world, verdict = failed.world, failed.reason
    sys.stdout.write("\n".join((str(world.drawn), *world.trace, world.digest, verdict, "")))
    return int(verdict != "all is well")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
