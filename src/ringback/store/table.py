"""The state that entries add up to: shared by the memory store, the journal's replay and the tests.

    check(entry)   refuse what is stale
    apply(entry)   make it so: the only way in, live and in replay alike
    claim_*        hand out what is due

Secret: how state is indexed. No I/O, no clock. Times of the due heaps are epoch seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter, itemgetter

from msgspec.structs import replace

from ringback.core import lifecycle, retry
from ringback.core.errors import Stale
from ringback.core.ids import event_id
from ringback.core.model import Attempt, Change, Delivery, DeliveryState, Event, Mark, Watch
from ringback.store import polls
from ringback.store.answers import Answers
from ringback.store.base import Entry, Kept, Owed, Polled, Pruned, Reschedule, Settlement, Shifted, Stats
from ringback.store.due import DueHeap
from ringback.store.keeping import Keeping
from ringback.store.laws import Laws
from ringback.store.over import over_since

OURSELVES = ""
"""The watch id of what is said about ourselves."""

ATTEMPTS_KEPT = 50
"""Of one delivery: more than a schedule has, and a limit for one that is throttled for days."""

EVENTS_PER_ENTRY = 1000
"""Feed positions are entry number times this, plus the place in the entry."""


class Table:
    """Watches, events, deliveries, attempts, marks, laws, and what is due."""

    def __init__(self) -> None:
        self.watches: dict[str, Watch] = {}
        self.answers = Answers()
        self.events: dict[str, tuple[int, Event]] = {}
        self.ours: dict[str, None] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.attempts: dict[str, tuple[Attempt, ...]] = {}
        self.handles: dict[tuple[str, str], str] = {}
        self.marks: dict[str, Mark] = {}
        self.laws = Laws()
        self.owed: dict[str, tuple[str, ...]] = {}
        self.lanes: dict[tuple[str, str], list[str]] = {}
        self.pending: Counter[str] = Counter()
        self.pending_of: Counter[str] = Counter()
        self.open_by_account: Counter[str] = Counter()
        self.by_state: Counter[str] = Counter()
        self.over: dict[str, datetime] = {}
        self.watch_due = DueHeap()
        self.lane_due = DueHeap()
        self.keeping: Keeping | None = None

    # ------------------------------------------------------------------ entries

    def check(self, entry: Change | Settlement) -> None:
        """Raise Stale when the entry was decided on something that has moved on."""
        if isinstance(entry, Settlement):
            stored = self.deliveries.get(entry.delivery.id)
            before = entry.delivery.attempts - (entry.attempt is not None)
            if stored is None or stored.state is not DeliveryState.PENDING or stored.attempts != before:
                raise Stale(f"delivery {entry.delivery.id} was settled by somebody else", delivery=entry.delivery.id)
            return
        for delivery in entry.deliveries:
            stored = self.deliveries.get(delivery.id)
            if stored is not None and (stored.state is DeliveryState.PENDING or stored.attempts != delivery.attempts):
                raise Stale(f"delivery {delivery.id} is owed already", delivery=delivery.id)
        if entry.watch is not None:
            known = self.watches.get(entry.watch.id)
            if entry.watch.version != (known.version if known is not None else 0) + 1:
                raise Stale(f"watch {entry.watch.id} was changed by somebody else", watch=entry.watch.id)

    def apply(self, entry: Entry, number: int) -> None:
        """Make an entry so; `number` is its place among all entries."""
        if self.keeping is not None:
            self.keeping.before(entry)
        match entry:
            case Change():
                self._change(entry, number * EVENTS_PER_ENTRY)
            case Settlement():
                self._settle(entry)
            case Pruned():
                self._prune(entry)
            case Shifted():
                self._shift(entry.by)
            case Polled():
                for watch in polls.all_noted(self.watches, entry):
                    self.watches[watch.id] = watch
                    self._watch_is_due(watch)
            case Kept():
                self._keep(entry)

    def reschedule(self, polled: Sequence[Reschedule]) -> list[Watch]:
        """Note polls that changed nothing; those whose watch has moved on are dropped. Returns what is due earlier."""
        earlier: list[Watch] = []
        for poll in polled:
            known = self.watches.get(poll.watch.id)
            if known is None or not self.counts(poll):
                continue
            # Only what may be forgotten is taken over: a poll brings documents again that the store keeps elsewhere.
            noted = polls.noted(known, poll.watch)
            self.watches[noted.id] = noted
            self._watch_is_due(noted)
            if poll.answer is not None:
                self.answers[noted.id] = poll.answer
            if noted.next_poll_at and known.next_poll_at and noted.next_poll_at < known.next_poll_at:
                earlier.append(noted)
        return earlier

    def counts(self, poll: Reschedule) -> bool:
        """Whether a poll is still about the watch as it is."""
        known = self.watches.get(poll.watch.id)
        return known is not None and known.version == poll.watch.version and not known.state.final

    def sort(self) -> None:
        """Bring back the order in which things came: rows of a snapshot come watch by watch."""
        places = sorted(self.events.values(), key=itemgetter(0))
        self.events = {place[1].id: place for place in places}
        self.deliveries = {item.id: item for item in sorted(self.deliveries.values(), key=attrgetter("created_at"))}
        self.over = dict(sorted(self.over.items(), key=itemgetter(1)))

    def kept(self) -> Keeping:
        """All there is as it is now, as rows of a snapshot that may be taken bit by bit while entries are applied.

        One at a time; set `keeping` to None to give it up.
        """
        ourselves = self._row([self.events[id][1] for id in self.ours], None)
        ourselves = replace(ourselves, marks=tuple(self.marks.values()), laws=self.laws.all())
        self.keeping = Keeping(self.watches, ourselves, self._row_of)
        return self.keeping

    # ------------------------------------------------------------------ claims

    def claim_watches(self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int]) -> list[Watch]:
        """Open watches that are due, leased."""
        ids = self.watch_due.claim(now.timestamp(), limit, limits, (now + lease).timestamp())
        return [self.watches[id] for id in ids]

    def claim_lanes(
        self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int], others: int | None = None
    ) -> list[Owed]:
        """The first pending delivery of each lane that is due, leased; the event as the table has it."""
        ids = self.lane_due.claim(now.timestamp(), limit, limits, (now + lease).timestamp(), others)
        return [self._owed(self.deliveries[id]) for id in ids]

    def stats(self) -> Stats:
        """Counts."""
        oldest: dict[str, datetime] = {}
        for ids in self.lanes.values():
            first = self.deliveries[ids[0]]
            oldest[first.group] = min(first.created_at, oldest.get(first.group, first.created_at))
        return Stats(
            {state: count for state, count in self.by_state.items() if count},
            len(self.events),
            {group: count for group, count in self.pending.items() if count},
            oldest,
        )

    def release(self, group: str) -> None:
        """Make every lane of a group due, in the order in which they were owed."""
        for ids in self.lanes.values():
            first = self.deliveries[ids[0]]
            if first.group == group:
                self.lane_due.set(first.id, group, first.created_at.timestamp())

    def prunable(self, before: datetime, keep_at_most: int, keep: Collection[str], limit: int) -> Pruned:
        """What may be forgotten: the longest settled first."""
        too_many = len(self.over) - keep_at_most
        watches: list[str] = []
        for id, since in self.over.items():
            if len(watches) >= limit or (since >= before and len(watches) >= too_many):
                break
            if id not in keep:
                watches.append(id)
        events = [id for id in self.ours if self.events[id][1].at < before and not self._owes(id)]
        return Pruned(tuple(watches), tuple(events[:limit]))

    # ------------------------------------------------------------------ how each entry is applied

    def _change(self, change: Change, position: int) -> None:
        if change.watch is not None:
            self._put_watch(change.watch)
            if change.answer is not None:
                self.answers[change.watch.id] = change.answer
            self.laws.learn(change.watch, change.took)
        for place, event in enumerate(change.events):
            self.events[event.id] = (position + place, event)
            if not event.watch_id:
                self.ours[event.id] = None
        for delivery in change.deliveries:
            self._put_delivery(delivery)
        for mark in change.marks:
            self.marks[mark.subject] = mark
        about = {delivery.watch_id for delivery in change.deliveries}
        for id in about if change.watch is None else about | {change.watch.id}:
            self._note_whether_over(id)

    def _settle(self, settlement: Settlement) -> None:
        delivery = settlement.delivery
        if settlement.attempt is not None:
            before = self.attempts.get(delivery.id, ())
            self.attempts[delivery.id] = (*before, settlement.attempt)[-ATTEMPTS_KEPT:]
        if settlement.handle is not None:
            self.handles[delivery.lane] = settlement.handle
        self._put_delivery(delivery)
        self._note_whether_over(delivery.watch_id)

    def _prune(self, pruned: Pruned) -> None:
        for id in pruned.watches:
            self._forget_watch(id)
        for id in pruned.events:
            self._forget_event(id)

    def _shift(self, by: timedelta) -> None:
        for watch in self.watches.values():
            if not watch.state.final:
                self.watches[watch.id] = lifecycle.shifted(watch, by)
        for ids in self.lanes.values():
            for id in ids:
                self.deliveries[id] = retry.shifted(self.deliveries[id], by)
        self.watch_due.shift(by.total_seconds())
        self.lane_due.shift(by.total_seconds())

    def _keep(self, row: Kept) -> None:
        """A row of a snapshot: nothing of it is known yet, and most deliveries are settled, which needs no lane."""
        for place in row.events:
            self.events[place[1].id] = place
            if row.watch is None:
                self.ours[place[1].id] = None
        self.attempts.update(row.attempts)
        for delivery in row.deliveries:
            if delivery.state is DeliveryState.PENDING:
                self._put_delivery(delivery)
            else:
                self.deliveries[delivery.id] = delivery
                self.owed[delivery.event_id] = (*self.owed.get(delivery.event_id, ()), delivery.id)
        id = OURSELVES
        if row.watch is not None:
            id = row.watch.id
            self._put_watch(row.watch)
            if row.answer is not None:
                self.answers[id] = row.answer
            if row.watch.state.final and not self.pending_of[id]:
                self.over[id] = over_since(row.watch, row.deliveries)
        for destination, handle in row.handles.items():
            self.handles[id, destination] = handle
        for mark in row.marks:
            self.marks[mark.subject] = mark
        self.laws.put(row.laws)

    # ------------------------------------------------------------------ watches

    def _put_watch(self, watch: Watch) -> None:
        before = self.watches.get(watch.id)
        if before is not None:
            self._count(before, -1)
        self._count(watch, 1)
        self.watches[watch.id] = watch
        if watch.state.final:
            self.watch_due.remove(watch.id)
        elif before is None or before.state.final or before.next_poll_at != watch.next_poll_at:
            self._watch_is_due(watch)

    def _watch_is_due(self, watch: Watch) -> None:
        self.watch_due.set(watch.id, watch.account, (watch.next_poll_at or watch.registered_at).timestamp())

    def _count(self, watch: Watch, by: int) -> None:
        self.by_state[watch.state.value] += by
        if not watch.state.final:
            self.open_by_account[watch.account] += by

    def _note_whether_over(self, id: str) -> None:
        """A watch is over when it is final and owes nothing; `over` keeps them in the order in which they became so."""
        self.over.pop(id, None)
        watch = self.watches.get(id)
        if watch is None or not watch.state.final or self.pending_of[id]:
            return
        owed = (delivery for event in self.events_of(watch) for delivery in self.owed.get(event.id, ()))
        self.over[id] = over_since(watch, (self.deliveries[delivery] for delivery in owed))

    def _forget_watch(self, id: str) -> None:
        watch = self.watches.get(id)
        if watch is None:
            return
        for event in self.events_of(watch):
            self._forget_event(event.id)
        self._count(watch, -1)
        self.over.pop(id, None)
        self.pending_of.pop(id, None)
        self.answers.forget(id)
        self.watch_due.remove(id)
        del self.watches[id]

    def events_of(self, watch: Watch) -> list[Event]:
        """A watch's history, oldest first: ids are digests, so that it needs no index."""
        ids = (event_id(watch.id, sequence) for sequence in range(1, watch.sequence + 1))
        return [self.events[id][1] for id in ids if id in self.events]

    # ------------------------------------------------------------------ deliveries

    def _put_delivery(self, delivery: Delivery) -> None:
        before = self.deliveries.get(delivery.id)
        if before is None:
            self.owed[delivery.event_id] = (*self.owed.get(delivery.event_id, ()), delivery.id)
        self.deliveries[delivery.id] = delivery
        was = before is not None and before.state is DeliveryState.PENDING
        now = delivery.state is DeliveryState.PENDING
        if was != now:
            self._enter_lane(delivery) if now else self._leave_lane(delivery)
        self._lane_is_due(delivery)

    def _enter_lane(self, delivery: Delivery) -> None:
        lane = self.lanes.setdefault(delivery.lane, [])
        lane.append(delivery.id)
        lane.sort(key=self._place_in_lane)
        for id in lane[1:]:
            self.lane_due.remove(id)
        self.pending[delivery.group] += 1
        self.pending_of[delivery.watch_id] += 1

    def _place_in_lane(self, id: str) -> tuple[int, datetime, int]:
        """What is said about ourselves has no sequence: there the feed says what was first, after a restart too."""
        delivery = self.deliveries[id]
        return delivery.sequence, delivery.created_at, self.events[delivery.event_id][0]

    def _leave_lane(self, delivery: Delivery) -> None:
        lane = self.lanes[delivery.lane]
        lane.remove(delivery.id)
        if not lane:
            del self.lanes[delivery.lane]
        self.lane_due.remove(delivery.id)
        self.pending[delivery.group] -= 1
        if not self.pending[delivery.group]:
            del self.pending[delivery.group]
        self.pending_of[delivery.watch_id] -= 1

    def _lane_is_due(self, kept: Delivery) -> None:
        """The first of a lane is due at its time, or at once when it failed and a newer one may supersede it.

        One that is being sent stays leased when it is another of its lane that was kept.
        """
        ids = self.lanes.get(kept.lane)
        if not ids or (ids[0] != kept.id and self.lane_due.leased(ids[0])):
            return
        first = self.deliveries[ids[0]]
        at = first.next_attempt_at or first.created_at
        if len(ids) > 1 and first.attempts > 0 and not first.event_type.lasting:
            at = min(at, self.deliveries[ids[-1]].created_at)
        self.lane_due.set(first.id, first.group, at.timestamp())

    def _owed(self, delivery: Delivery) -> Owed:
        watch = self.watches.get(delivery.watch_id)
        return Owed(
            delivery,
            self.events[delivery.event_id][1],
            watch.callback(delivery.destination) if watch is not None else None,
            len(self.lanes[delivery.lane]) > 1,
            self.handles.get(delivery.lane),
        )

    def _owes(self, event: str) -> bool:
        return any(self.deliveries[id].state is DeliveryState.PENDING for id in self.owed.get(event, ()))

    def _forget_event(self, id: str) -> None:
        for delivery in self.owed.pop(id, ()):
            gone = self.deliveries.pop(delivery)
            self.attempts.pop(delivery, None)
            self.handles.pop(gone.lane, None)
        self.events.pop(id, None)
        self.ours.pop(id, None)

    # ------------------------------------------------------------------ snapshot

    def _row_of(self, id: str) -> Kept:
        watch = self.watches[id]
        return self._row(self.events_of(watch), watch)

    def _row(self, events: Sequence[Event], watch: Watch | None) -> Kept:
        deliveries = [self.deliveries[id] for event in events for id in self.owed.get(event.id, ())]
        lanes = {delivery.lane for delivery in deliveries}
        return Kept(
            watch=watch,
            answer=self.answers.get(watch.id) if watch is not None else None,
            events=tuple((self.events[event.id][0], event) for event in events),
            deliveries=tuple(deliveries),
            attempts={item.id: self.attempts[item.id] for item in deliveries if item.id in self.attempts},
            handles={lane[1]: self.handles[lane] for lane in sorted(lanes) if lane in self.handles},
        )
