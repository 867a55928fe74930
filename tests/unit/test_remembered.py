"""The memory of verified callers, and the watch that empties it."""

from uuid import UUID

from qsuite.domain.access import AccessChange
from qsuite.domain.errors import Unavailable
from qsuite.domain.roles import Caller, Role
from qsuite.services.access_watch import AccessWatch
from qsuite.services.remembered import Remembered

MARIA, JONAS = (UUID(int=number) for number in (1, 2))
S = 1_000_000_000


def caller(user, token="session:1"):
    return Caller(user, "name", Role.TRADER, (), token)


def remembering(**kwargs):
    memory = Remembered(lambda: 100, **kwargs)
    memory.put("Bearer m", caller(MARIA), 200, memory.epoch)
    memory.put("Bearer j", caller(JONAS), 200, memory.epoch)
    return memory


def test_a_caller_is_remembered_by_the_whole_header():
    memory = remembering()
    assert memory.get("Bearer m").user == MARIA
    assert memory.get("bearer m") is None
    assert memory.get("") is None


def test_an_expired_caller_is_not_remembered():
    now = [100]
    memory = Remembered(lambda: now[0])
    memory.put("Bearer m", caller(MARIA), 200, memory.epoch)
    now[0] = 199
    assert memory.get("Bearer m") is not None
    now[0] = 200
    assert memory.get("Bearer m") is None
    assert len(memory) == 0


def test_forgetting_a_user_forgets_all_their_headers_and_nobody_elses():
    memory = remembering()
    memory.put("Bearer m2", caller(MARIA, "key:1"), 200, memory.epoch)
    memory.forget(MARIA)
    assert (memory.get("Bearer m"), memory.get("Bearer m2")) == (None, None)
    assert memory.get("Bearer j") is not None


def test_a_check_that_a_change_overtook_is_not_remembered():
    memory = remembering()
    before = memory.epoch
    memory.forget(MARIA)
    memory.put("Bearer m", caller(MARIA), 200, before)
    assert memory.get("Bearer m") is None


def test_the_caller_not_seen_for_longest_gives_way_when_memory_is_full():
    memory = remembering(size=2)
    memory.get("Bearer m")
    memory.put("Bearer new", caller(UUID(int=3)), 200, memory.epoch)
    assert memory.get("Bearer j") is None
    assert memory.get("Bearer m") is not None
    assert len(memory) == 2


class FakeRepo:
    """Answers with the changes marked at or after ``since``, as the repos do."""

    def __init__(self):
        self.changes = []
        self.asked = []
        self.away = False

    async def changes_since(self, since):
        self.asked.append(since)
        if self.away:
            raise Unavailable("the database is away")
        return [change for change in self.changes if change.mark >= since]


def change(mark, user=MARIA):
    return AccessChange(user=user, subject=user, mark=mark, revokes=True)


async def test_a_change_made_elsewhere_is_announced_once_however_often_it_is_found():
    repo, heard = FakeRepo(), []
    watch = AccessWatch([repo], heard.extend, now=1_000 * S)
    repo.changes = [change(1_000 * S)]
    for second in range(1_000, 1_030):
        await watch.run_once(second * S)
    assert heard == [change(1_000 * S)]


async def test_a_change_made_here_is_announced_at_once_and_not_again_when_it_is_found():
    repo, heard = FakeRepo(), []
    watch = AccessWatch([repo], heard.extend, now=1_000 * S)
    watch.note([change(1_000 * S)], 1_000 * S)
    repo.changes = [change(1_000 * S)]
    for second in range(1_000, 1_030):
        await watch.run_once(second * S)
    assert heard == [change(1_000 * S)]


async def test_a_change_stamped_by_a_clock_nine_seconds_behind_or_a_minute_ahead_is_announced_once():
    repo, heard = FakeRepo(), []
    watch = AccessWatch([repo], heard.extend, now=1_000 * S)
    repo.changes = [change(991 * S), change(1_060 * S)]
    for second in range(1_000, 1_120):
        await watch.run_once(second * S)
    assert heard == repo.changes


async def test_what_changed_while_the_database_was_away_is_announced_when_it_is_back():
    repo, heard = FakeRepo(), []
    watch = AccessWatch([repo], heard.extend, now=1_000 * S)
    await watch.run_once(1_000 * S)
    repo.away = True
    for second in range(1_001, 1_300):
        await watch.run_once(second * S)
    repo.changes, repo.away = [change(1_001 * S)], False
    await watch.run_once(1_300 * S)
    assert heard == [change(1_001 * S)]
    assert repo.asked[-1] == 990 * S
