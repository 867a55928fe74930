"""A whole QSuite that runs jobs of the tests' own, for a test to kill. Prints the port when it listens.

python -m tests.crash.job_victim
"""

import asyncio

from qsuite.app import build
from qsuite.composition.parts import Parts
from tests.crash.trap import begin, serve
from tests.support.jobs import CATALOGUE


async def main() -> None:
    settings, database = begin()
    app = await build(settings, database, Parts(catalogue=CATALOGUE))
    await app.start()
    await serve(app)
    database.close()


if __name__ == "__main__":
    asyncio.run(main())
