"""Any life of a journal, with restarts and crashes anywhere, against a table that simply applies what was kept."""

import asyncio
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import given
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from ringback.core.advance import FORGETTABLE, about_ourselves
from ringback.core.errors import Stale
from ringback.core.model import AccountData, Answer, Change, DeliveryState, EventType
from ringback.core.routing import Routes
from ringback.store.base import DeliveryQuery, EventQuery, Reschedule, WatchQuery
from ringback.store.examine import verify
from ringback.store.journal import JournalStore
from ringback.store.memory import MemoryStore
from ringback.store.results import documents, needed
from tests.store import steps
from tests.store.files import crashed, results

TASKS = st.sampled_from([f"task-{number}" for number in range(6)])
STATES = st.sampled_from(["queued", "running", "succeeded", "failed"])
TEXTS = st.sampled_from([None, "small", steps.LARGE, steps.LARGE + "2"])
TO = st.sampled_from([Routes(), steps.BUILDS, Routes({"builds": ("task.*",), "team": ("*.succeeded",)})])
TOOK = st.one_of(st.none(), st.floats(0.1, 1000).map(lambda seconds: timedelta(seconds=seconds)))
SECONDS = st.integers(1, 100).map(lambda seconds: timedelta(seconds=seconds))
FORGOTTEN = dict.fromkeys(FORGETTABLE) | {"polls": 0}


class Lives(RuleBasedStateMachine):
    """The journal and its model are asked the same things and must say the same."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(prefix="ringback-lives-"))
        self.lives = 0
        self.directory = self.root / "0"
        self.model = MemoryStore()
        self.now = given.NOW
        self.sequence = 0

    def teardown(self):
        self.run(self.store.close())
        assert verify(self.directory).sound
        self.runner.close()
        shutil.rmtree(self.root)

    def run(self, awaitable):
        return self.runner.run(awaitable)

    def both(self, verb, *args):
        """Ask both; what one refuses the other refuses too."""
        said = []
        for store in (self.model, self.store):
            try:
                said.append(self.run(getattr(store, verb)(*args)))
            except Stale:
                said.append("stale")
        assert said[0] == said[1], verb
        return said[0]

    async def _open(self):
        store = JournalStore(self.directory, compact_at=4000)
        await store.open(self.now)
        return store

    @initialize()
    def begin(self):
        self.store = self.run(self._open())

    # ------------------------------------------------------------------ what happens to a store

    @rule(task=TASKS, owner=st.sampled_from(["", "ci"]))
    def register(self, task, owner):
        """Stale when it is there already."""
        watch = given.watch(task, account=task[-1:], metadata={"owner": owner}, registered_at=self.now)
        self.both("commit", Change(watch=replace(watch, next_poll_at=self.now)))

    @rule(task=TASKS, state=STATES, to=TO, result=TEXTS, details=TEXTS, body=TEXTS, took=TOOK, behind=st.booleans())
    def move(self, task, state, *, to, result, details, body, took, behind):
        """Final watches are reopened by it, too; now and then the decision is an old one."""
        watch = self.run(self.model.watch(given.watch(task).id)) or given.watch(task)
        if behind:
            watch = replace(watch, version=max(watch.version - 1, 1))
        documents = {
            name: given.document(text) if text is not None else None
            for name, text in (("result", result), ("details", details))
        }
        change = steps.moved(watch, state, at=self.now, to=to, **documents)
        answer = Answer(status=200, body=body.encode(), at=self.now) if body is not None else None
        self.both("commit", replace(change, answer=answer, took=took))

    @rule(task=TASKS, times=st.tuples(SECONDS, SECONDS), body=TEXTS, behind=st.booleans())
    def poll_without_change(self, task, *, times, body, behind):
        watch = self.run(self.model.watch(given.watch(task).id))
        if watch is not None:
            poll = replace(watch, polls=watch.polls + 1, next_poll_at=self.now + times[0], last_polled_at=self.now)
            answer = Answer(status=500, body=body.encode()) if body is not None else None
            self.both("reschedule", [Reschedule(replace(poll, version=watch.version - behind), answer)])

    @rule(limit=st.integers(1, 4), limits=st.dictionaries(st.sampled_from("0123"), st.integers(0, 2)))
    def claim_watches(self, limit, limits):
        self.both("claim_watches", self.now, limit, steps.LEASE, limits)

    @rule(limit=st.integers(1, 4), wait=st.one_of(st.none(), SECONDS), handle=st.sampled_from([None, "1.23"]))
    def claim_and_settle(self, limit, wait, handle):
        """Some are delivered, some are tried again."""
        claimed = self.both("claim_deliveries", self.now, limit, steps.LEASE, {"team": 1})
        for one in claimed:
            what = steps.again(self.now + wait) if wait is not None else None
            self.both("settle", replace(steps.settlement(one.delivery, what, at=self.now), handle=handle))

    @rule(index=st.integers(0, 20))
    def resend(self, index):
        found = [one for one in self.model.table.deliveries.values() if one.state is not DeliveryState.PENDING]
        if found:
            self.both("commit", Change(deliveries=(steps.anew(found[index % len(found)]),)))

    @rule()
    def tell_about_ourselves(self):
        self.sequence += 1
        mark = steps.mark(sequence=self.sequence, since=self.now)
        to = Routes({"team": ("*",)})
        self.both("commit", about_ourselves(mark, AccountData("302ai", None, 1), EventType.PROVIDER_DEGRADED, to))

    @rule(by=st.integers(-1000, 1000).map(lambda seconds: timedelta(seconds=seconds)))
    def step_the_clock(self, by):
        self.both("shift", by)

    @rule(age=SECONDS, most=st.integers(0, 4), keep=st.sets(TASKS, max_size=2), limit=st.integers(1, 3))
    def prune(self, age, most, keep, limit):
        self.both("prune", self.now - age, most, {given.watch(task).id for task in keep}, limit)

    @rule(by=SECONDS)
    def time_passes(self, by):
        self.now += by

    @rule()
    def tend(self):
        self.run(self.store.tend())

    @rule()
    def restart(self):
        self.run(self.store.close())
        self._come_back()

    @rule()
    def crash(self):
        """Everything acknowledged is on disk: a copy of the directory is what a crash would leave."""
        self.lives += 1
        image = crashed(self.directory, self.root / str(self.lives))
        self.run(self.store.close())
        self.directory = image
        self._come_back()

    def _come_back(self):
        self.store = self.run(self._open())
        # Leases are gone; what may be forgotten is as old as the journal has it; noted answers are gone.
        before, after = self.model.table, self.store.table
        assert {id: replace(watch, **FORGOTTEN) for id, watch in before.watches.items()} == {
            id: replace(watch, **FORGOTTEN) for id, watch in after.watches.items()
        }
        assert before.laws.all() == after.laws.all()
        self.model = MemoryStore()
        self.model.table = self.run(self._whole_table())

    async def _whole_table(self):
        """A table with all texts, made of the rows that the journal would write."""
        store, table = self.store, type(self.store.table)()
        for row in (keeping := store.table.kept()).take(10_000):
            watch = await store.watch(row.watch.id) if row.watch is not None else None
            answer = await store.answer(row.watch.id) if row.watch is not None else None
            events = tuple([(place, await store.event(event.id)) for place, event in row.events])
            table.apply(replace(row, watch=watch, answer=answer, events=events), 0)
        assert keeping.take(1) == []
        store.table.keeping = None
        table.sort()
        self.model._numbers = iter(range(10**6, 10**7))
        return table

    # ------------------------------------------------------------------ what must always hold

    @invariant()
    def everything_reads_the_same(self):
        if not hasattr(self, "store"):
            return
        for verb, query in (("deliveries", DeliveryQuery()), ("watches", WatchQuery())):
            pages = [self.run(getattr(store, verb)(query)).items for store in (self.model, self.store)]
            assert sorted(pages[0], key=lambda item: item.id) == sorted(pages[1], key=lambda item: item.id), verb
        events = [self.run(store.events(EventQuery(limit=1000))).items for store in (self.model, self.store)]
        assert events[0] == events[1]
        assert all(document.text for document in documents([*pages[1], *events[1]]))
        for one in self.model.table.deliveries:
            self.both("delivery", one)
        for task in range(6):
            self.both("answer", given.watch(f"task-{task}").id)
            self.both("open_watches", str(task))
        for verb in ("marks", "stats"):
            self.both(verb)
        self.both("laws", "302ai-browser")
        self.both("next_watch_at", ())
        self.both("next_delivery_at", ())
        self.both("next_delivery_at", {"builds"})

    @invariant()
    def only_what_is_named_has_files(self):
        """After the writer has caught up, each file is named by something, and each name has its file."""
        if hasattr(self, "store"):
            self.run(self.store._in_turn(self.store._writer, lambda: None))
            table = self.store.table
            named = {name for id in table.watches for name in needed(table, id)}
            assert set(results(self.directory)) == named


Lives.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLives = Lives.TestCase
