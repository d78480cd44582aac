"""The suite that every store passes: tests/store/test_memory.py shows how one joins.

A store's test file has a fixture `store` that gives an open one, and inherits `StoreContract`. The numbers are those of
the obligations in store/base.py. That a commit outlives a crash only the lasting ones can show, in files of their own.
"""

import asyncio
import re
from datetime import UTC, datetime

import given
import pytest
from msgspec.structs import replace

from ringback.core.advance import about_ourselves
from ringback.core.document import Document
from ringback.core.errors import BadInput, Stale
from ringback.core.law import Law, taught
from ringback.core.model import AccountData, Answer, Callback, Change, DeliveryState, EventType, Problem, WatchState
from ringback.core.retry import GiveUp, anew, settled
from ringback.core.routing import Routes
from ringback.store.base import DeliveryQuery, EventQuery, Pruned, Reschedule, Settlement, Shifted, WatchQuery
from tests.store import steps
from tests.store.steps import LARGE, LEASE, again, due, ended, follow, moved, owed, settlement

NOW, SECOND, HOUR = given.NOW, given.SECOND, given.HOUR
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class StoreContract:
    """Every obligation, as a test."""

    # ------------------------------------------------------------------ 1: commit

    async def test_a_change_is_kept_whole(self, store):
        """1: The watch, its event, what is owed, a mark and the answer can all be read after one commit."""
        await store.commit(Change(watch=given.watch()))
        answer = Answer(status=200, headers={"content-type": "application/json"}, body=b"\x00\xff{}", at=NOW)
        change = replace(moved(given.watch(), "queued"), answer=answer, marks=(steps.mark(),))
        await store.commit(change)
        assert await store.watch(change.watch.id) == change.watch
        assert await store.event(change.events[0].id) == change.events[0]
        assert await store.delivery(change.deliveries[0].id) == (change.deliveries[0], ())
        assert await store.answer(change.watch.id) == answer
        assert await store.marks() == [steps.mark()]

    async def test_what_was_never_kept_is_not_there(self, store):
        """Unknown ids are answered with None."""
        assert await store.watch("w_0") is None
        assert await store.event("evt_0") is None
        assert await store.delivery("dlv_0") is None
        assert await store.answer("w_0") is None

    @pytest.mark.parametrize("version", [1, 2, 4])
    async def test_only_the_next_version_is_taken(self, store, version):
        """1: A change that was decided on another version is Stale, and nothing of it is kept."""
        watch = await follow(store, "queued")
        change = moved(watch, "running")
        with pytest.raises(Stale):
            await store.commit(replace(change, watch=replace(change.watch, version=version)))
        assert await store.watch(watch.id) == watch
        assert await store.event(change.events[0].id) is None
        assert (await store.deliveries(DeliveryQuery())).items[0].event_type is EventType.TASK_QUEUED

    async def test_a_watch_begins_with_version_one(self, store):
        """1: A change of a watch that the store does not have is Stale."""
        with pytest.raises(Stale):
            await store.commit(moved(given.watch(), "queued"))

    async def test_of_two_at_once_one_is_stale(self, store):
        """1: Two who decide on the same version at the same time: one is kept, and one learns of it."""
        watch = await follow(store)
        first, second = moved(watch, "queued"), moved(watch, "running")
        results = await asyncio.gather(store.commit(first), store.commit(second), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), Stale]
        assert await store.watch(watch.id) == first.watch
        assert (await store.stats()).events == 1

    async def test_of_two_registrations_at_once_one_is_stale(self, store):
        """1: The same holds for the first version."""
        change = Change(watch=given.watch())
        results = await asyncio.gather(store.commit(change), store.commit(change), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), Stale]

    async def test_many_at_once_are_all_kept(self, store):
        """1: Changes of different watches do not disturb one another."""
        watches = [given.watch(f"task-{number}") for number in range(300)]
        await asyncio.gather(*(store.commit(Change(watch=watch)) for watch in watches))
        assert (await store.stats()).watches == {"pending": 300}

    # ------------------------------------------------------------------ 2: settle

    async def test_an_attempt_and_its_step_are_kept_together(self, store):
        """2: The delivery moves and its attempt is recorded."""
        await follow(store, "queued")
        delivery = (await owed(store, NOW))[0].delivery
        first = settlement(delivery, again(NOW + SECOND))
        await store.settle(first)
        second = settlement(first.delivery)
        await store.settle(second)
        assert await store.delivery(delivery.id) == (second.delivery, (first.attempt, second.attempt))
        assert second.delivery.state is DeliveryState.DELIVERED

    async def test_a_step_without_an_attempt_is_kept(self, store):
        """2: A delivery can be discarded without a try."""
        await follow(store, "queued")
        delivery = (await owed(store, NOW))[0].delivery
        await store.settle(Settlement(settled(delivery, GiveUp("gone"), NOW, attempted=False)))
        found, attempts = await store.delivery(delivery.id)
        assert (found.state, found.reason, attempts) == (DeliveryState.DISCARDED, "gone", ())

    async def test_a_delivery_is_settled_once(self, store):
        """2: A second settlement of the same attempt is Stale, one after another or at once."""
        await follow(store, "queued")
        delivery = (await owed(store, NOW))[0].delivery
        once = settlement(delivery, again(NOW))
        results = await asyncio.gather(store.settle(once), store.settle(once), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), Stale]
        with pytest.raises(Stale):
            await store.settle(once)
        assert len((await store.delivery(delivery.id))[1]) == 1

    async def test_what_is_settled_stays_settled(self, store):
        """2: A delivery that is not pending any more, and one that never was, are Stale."""
        await follow(store, "queued")
        delivery = (await owed(store, NOW))[0].delivery
        await store.settle(settlement(delivery))
        with pytest.raises(Stale):
            await store.settle(settlement(replace(delivery, attempts=1)))
        with pytest.raises(Stale):
            await store.settle(settlement(given.delivery()))

    async def test_a_settlement_and_a_change_of_one_watch_do_not_disturb(self, store):
        """2: A delivery is settled while its watch moves on."""
        watch = await follow(store, "queued")
        delivery = (await owed(store, NOW))[0].delivery
        await asyncio.gather(store.commit(moved(watch, "running")), store.settle(settlement(delivery)))
        assert (await store.watch(watch.id)).state is WatchState.RUNNING
        assert (await store.delivery(delivery.id))[0].state is DeliveryState.DELIVERED

    async def test_a_settled_delivery_can_be_owed_again(self, store):
        """A resend is a change of deliveries alone; what owes again is not forgotten."""
        watch = await follow(store, "succeeded")
        before = settlement((await owed(store, NOW))[0].delivery).delivery
        await store.settle(settlement((await store.delivery(before.id))[0]))
        await store.commit(Change(deliveries=(anew(before, NOW + HOUR),)))
        assert await store.prune(FOREVER, 0, (), 10) == 0
        claimed = (await owed(store, NOW + HOUR))[0].delivery
        await store.settle(settlement(claimed))
        found, attempts = await store.delivery(before.id)
        assert (found.state, [attempt.number for attempt in attempts]) == (DeliveryState.DELIVERED, [1, 2])
        assert await store.prune(FOREVER, 0, (), 10) == 1
        assert await store.watch(watch.id) is None

    # ------------------------------------------------------------------ 3 and 9: durable, then seen, then told

    async def test_listeners_are_told_after_it_can_be_read(self, store):
        """9: Who is told of an entry finds it in the store."""
        told = []
        stop = store.listen(lambda entry: told.append((entry, store.table.watches.get(given.watch().id))))
        await store.commit(Change(watch=given.watch()))
        assert [(type(entry), watch) for entry, watch in told] == [(Change, given.watch())]
        stop()
        await store.commit(moved(given.watch(), "queued"))
        assert len(told) == 1

    async def test_listeners_are_told_of_everything_that_is_kept(self, store):
        """9: Changes, settlements, what is forgotten, a step of the clock; and polls that come earlier, as a change."""
        watch = await follow(store)
        told = []
        store.listen(told.append)
        await store.reschedule([Reschedule(replace(watch, next_poll_at=NOW - SECOND))])
        await store.reschedule([Reschedule(replace(watch, next_poll_at=NOW + SECOND))])
        await store.commit(moved(watch, "succeeded"))
        await store.settle(settlement((await owed(store, NOW))[0].delivery))
        await store.shift(SECOND)
        await store.prune(FOREVER, 0, (), 10)
        assert [type(entry) for entry in told] == [Change, Change, Settlement, Shifted, Pruned]
        assert told[0].watch.next_poll_at == NOW - SECOND

    # ------------------------------------------------------------------ 4: claims and leases

    async def test_only_what_is_due_is_handed_out(self, store):
        """4: Not before its time, and never a final watch."""
        await follow(store, of=given.watch("later", next_poll_at=NOW + SECOND))
        await follow(store, "succeeded", of=given.watch("over"))
        assert await due(store, NOW) == []
        assert [watch.task_id for watch in await due(store, NOW + SECOND)] == ["later"]

    async def test_the_longest_due_comes_first(self, store):
        """4: In the order of their times, whatever the account."""
        for number, (account, seconds) in enumerate([("a", 3), ("b", 1), ("a", 2), ("b", 4)]):
            watch = given.watch(f"task-{number}", account=account, next_poll_at=NOW + seconds * SECOND)
            await follow(store, of=watch)
        claimed = await due(store, NOW + HOUR, 3)
        assert [watch.next_poll_at for watch in claimed] == [NOW + seconds * SECOND for seconds in (1, 2, 3)]

    async def test_a_lease_keeps_others_away_until_it_ends(self, store):
        """4: Claimed is claimed; when the lease ends without a word, it is handed out again."""
        await follow(store)
        assert len(await due(store, NOW)) == 1
        assert await due(store, NOW + LEASE - SECOND) == []
        assert len(await due(store, NOW + LEASE)) == 1

    async def test_what_is_kept_ends_the_lease(self, store):
        """4: After a commit or a poll without change, a watch is due at its own time, not when the lease ends."""
        watch = await follow(store)
        await due(store, NOW)
        change = moved(watch, "queued")
        await store.commit(change)
        assert len(await due(store, NOW + 5 * SECOND)) == 1
        await store.reschedule([Reschedule(replace(change.watch, next_poll_at=NOW + 6 * SECOND))])
        assert len(await due(store, NOW + 6 * SECOND)) == 1

    async def test_a_reopened_watch_is_due(self, store):
        """4: A watch that was final is handed out again when a commit opens it, whenever it was due before."""
        watch = await follow(store)
        over = replace(watch, state=WatchState.ABANDONED, version=2)
        await store.commit(Change(watch=over))
        assert await due(store, NOW) == []
        await store.commit(Change(watch=replace(over, state=WatchState.PENDING, version=3)))
        assert len(await due(store, NOW)) == 1

    async def test_limits_are_by_account(self, store):
        """4: No more of an account than it may have; another account's watches come all the same."""
        for number in range(3):
            await follow(store, of=given.watch(f"a-{number}", account="a"))
            await follow(store, of=given.watch(f"b-{number}", account="b"))
        claimed = await due(store, NOW, a=1, b=2)
        assert sorted(watch.account for watch in claimed) == ["a", "b", "b"]
        assert sorted(watch.account for watch in await due(store, NOW, a=0)) == ["b"]

    async def test_limits_are_by_group(self, store):
        """4: The same for deliveries and their destinations."""
        to = Routes({"builds": ("task.*",), "team": ("task.*",)})
        for number in range(3):
            await follow(store, "succeeded", of=given.watch(f"task-{number}"), to=to)
        claimed = await owed(store, NOW, builds=1, team=2)
        assert sorted(one.delivery.group for one in claimed) == ["builds", "team", "team"]
        assert len(await owed(store, NOW)) == 3
        assert await owed(store, NOW + LEASE - SECOND) == []

    async def test_the_next_time_is_known(self, store):
        """When something is due next, leaving out who cannot be served; None when there is nothing."""
        assert await store.next_watch_at(()) is None
        assert await store.next_delivery_at(()) is None
        await follow(store, "queued", of=given.watch("a", account="a"))
        await follow(store, of=given.watch("b", account="b", next_poll_at=NOW + HOUR))
        assert await store.next_watch_at(()) == NOW + 5 * SECOND
        assert await store.next_watch_at({"a"}) == NOW + HOUR
        assert await store.next_watch_at({"a", "b"}) is None
        assert await store.next_delivery_at(()) == NOW
        assert await store.next_delivery_at({"builds"}) is None
        await owed(store, NOW)
        assert await store.next_delivery_at(()) == NOW + LEASE

    # ------------------------------------------------------------------ 5: lanes

    async def test_a_lane_goes_one_by_one_in_order(self, store):
        """5: The second event of a watch waits until the first is settled."""
        await follow(store, "queued", "running", "succeeded")
        order = []
        for _ in range(3):
            claimed = await owed(store, NOW)
            order += [(one.event.sequence, one.newer) for one in claimed]
            await store.settle(settlement(claimed[0].delivery))
        assert order == [(1, True), (2, True), (3, False)]
        assert await owed(store, NOW) == []

    async def test_what_is_said_about_ourselves_keeps_its_order(self, store):
        """5: It has no sequence: of two that were owed at the same time, the one that was said first goes first."""
        to = Routes({"team": ("*",)})
        for number in (1, 2):
            data, mark = AccountData("302ai", None, number), steps.mark(sequence=number)
            await store.commit(about_ourselves(mark, data, EventType.PROVIDER_DEGRADED, to))
        first = (await owed(store, NOW))[0].delivery
        await store.settle(settlement(first))
        await store.commit(Change(deliveries=(steps.anew((await store.delivery(first.id))[0]),)))
        order = []
        for _ in range(2):
            claimed = await owed(store, NOW + HOUR)
            order.append(claimed[0].event.data.watches)
            await store.settle(settlement(claimed[0].delivery))
        assert order == [1, 2]

    async def test_what_failed_waits_for_its_time(self, store):
        """5: The last of a lane is due at its next attempt, not before."""
        await follow(store, "succeeded")
        await store.settle(settlement((await owed(store, NOW))[0].delivery, again(NOW + HOUR)))
        assert await owed(store, NOW + HOUR - SECOND) == []
        assert len(await owed(store, NOW + HOUR)) == 1

    async def test_what_failed_is_due_at_once_when_something_newer_is_owed(self, store):
        """5: A passing event that failed may be superseded: it is handed out, with the word that there is a newer."""
        watch = await follow(store, "queued")
        await store.settle(settlement((await owed(store, NOW))[0].delivery, again(NOW + HOUR)))
        await store.commit(moved(watch, "running", at=NOW + SECOND))
        claimed = await owed(store, NOW + SECOND)
        assert [(one.event.sequence, one.newer) for one in claimed] == [(1, True)]

    async def test_a_final_event_that_failed_is_not_hurried(self, store):
        """5: What is never superseded keeps its time, though something newer is owed."""
        watch = await follow(store, "expired")
        await store.settle(settlement((await owed(store, NOW))[0].delivery, again(NOW + HOUR)))
        await store.commit(moved(watch, "running", at=NOW + SECOND))
        assert await owed(store, NOW + SECOND) == []

    async def test_a_newer_delivery_leaves_the_lease_of_the_first_alone(self, store):
        """4, 5: What is being sent is not handed out a second time because something newer is owed."""
        watch = await follow(store, "queued")
        assert len(await owed(store, NOW)) == 1
        await store.commit(moved(watch, "running"))
        assert await owed(store, NOW) == []
        assert await owed(store, NOW + LEASE - SECOND) == []
        assert [one.event.sequence for one in await owed(store, NOW + LEASE)] == [1]

    async def test_a_claim_brings_what_sending_needs(self, store):
        """5, 7: The event whole, the callback as its watch has it now, and the handle that was left last time."""
        callback = Callback("cb_1", "https://example.org/hook", ("task.*",), "whsec_x")
        watch = await follow(store, of=given.watch(callbacks=(callback,)))
        await store.commit(moved(watch, "running", to=Routes(), details=given.document(LARGE)))
        claimed = (await owed(store, NOW))[0]
        assert (claimed.callback, claimed.handle) == (callback, None)
        assert claimed.event.data.details.text == given.document(LARGE).text
        await store.settle(replace(settlement(claimed.delivery, again(NOW)), handle="1.23"))
        assert (await owed(store, NOW))[0].handle == "1.23"

    async def test_a_callback_that_its_watch_has_no_more_is_none(self, store):
        """5: The delivery is handed out all the same, so that it can be discarded with that reason."""
        callback = Callback("cb_1", "https://example.org/hook", ("task.*",))
        watch = await follow(store, "running", of=given.watch(callbacks=(callback,)), to=Routes())
        await store.commit(Change(watch=replace(watch, callbacks=(), version=watch.version + 1)))
        assert (await owed(store, NOW))[0].callback is None

    # ------------------------------------------------------------------ 6: polls that changed nothing

    async def test_a_poll_that_changed_nothing_is_noted(self, store):
        """6: Count, times, problem and answer are shown."""
        watch = await follow(store)
        problem = Problem("timeout", "no answer", NOW, 2)
        noted = replace(watch, polls=3, last_polled_at=NOW, next_poll_at=NOW + HOUR, problem=problem)
        await store.reschedule([Reschedule(noted, Answer(status=500, body=b"oh"))])
        assert await store.watch(watch.id) == noted
        assert await store.answer(watch.id) == Answer(status=500, body=b"oh")
        assert await due(store, NOW) == []

    async def test_a_kept_answer_replaces_a_noted_one(self, store):
        """6: The last answer is shown, however it came."""
        watch = await follow(store)
        await store.reschedule([Reschedule(watch, Answer(status=500, body=b"noted"))])
        await store.commit(replace(moved(watch, "queued"), answer=Answer(status=200, body=b"kept")))
        assert (await store.answer(watch.id)).body == b"kept"

    async def test_a_poll_of_a_watch_that_moved_on_is_dropped(self, store):
        """6: Neither an older version nor a final watch is touched."""
        watch = await follow(store)
        await store.commit(moved(watch, "queued"))
        late = Reschedule(replace(watch, polls=9, next_poll_at=NOW), Answer(status=500))
        await store.reschedule([late])
        assert (await store.watch(watch.id)).polls == 0
        assert await store.answer(watch.id) is None
        over = await follow(store, "succeeded", of=given.watch("task-2"))
        await store.reschedule([Reschedule(replace(over, polls=9, next_poll_at=NOW), Answer(status=500))])
        assert await store.watch(over.id) == over

    # ------------------------------------------------------------------ 7: what is read is whole

    async def test_large_documents_are_read_whole(self, store):
        """7: Forty kilobytes of Japanese with quotes and line ends come back byte for byte, wherever they are named."""
        result, details = given.document(LARGE), Document.of_text(b'{\n "steps": ["' + b"x" * 9000 + b'"]\n}')
        answer = Answer(status=200, body=LARGE.encode())
        await store.commit(Change(watch=given.watch()))
        change = replace(moved(given.watch(), "succeeded", result=result, details=details), answer=answer)
        await store.commit(change)
        id = change.watch.id
        read = [await store.watch(id), *(await store.watches(WatchQuery())).items]
        events = [await store.event(change.events[0].id), *(await store.events(EventQuery(watch=id))).items]
        for holder in (*read, *(event.data for event in events), (await owed(store, NOW))[0].event.data):
            assert (holder.result.text, holder.details.text) == (result.text, details.text)
        assert await store.answer(id) == answer

    @pytest.mark.parametrize("text", [b'"a"', b'{\n"a": 1}', b' "a" ', b'{"a": NaN}', b'"\\ud800"', b"[1e999]", b"{"])
    async def test_every_text_is_read_as_it_came(self, store, text):
        """7: Spaces, line ends, NaN and lone surrogates are a provider's to choose."""
        watch = await follow(store, "running", details=Document.of_text(text))
        assert (await store.watch(watch.id)).details.text == text

    # ------------------------------------------------------------------ 8: the clock was stepped

    @pytest.mark.parametrize("by", [24 * HOUR, -24 * HOUR])
    async def test_a_step_of_the_clock_moves_what_is_open(self, store, by):
        """8: What was due in five seconds still is, on the new clock; what is over stays as it was."""
        watch = await follow(store, "queued")
        over = await follow(store, "succeeded", of=given.watch("task-2"))
        first = next(one.delivery for one in await owed(store, NOW) if one.delivery.watch_id == watch.id)
        await store.settle(settlement(first, again(NOW + 10 * SECOND)))
        await store.shift(by)
        shifted = await store.watch(watch.id)
        assert shifted.next_poll_at == watch.next_poll_at + by
        assert shifted.deadline_at == watch.deadline_at + by
        assert await store.watch(over.id) == over
        assert await due(store, NOW + by + 4 * SECOND) == []
        assert len(await due(store, NOW + by + 5 * SECOND)) == 1
        assert (await store.delivery(first.id))[0].next_attempt_at == NOW + by + 10 * SECOND
        assert await owed(store, NOW + by + 9 * SECOND) == []
        assert len(await owed(store, NOW + by + 10 * SECOND)) == 1

    async def test_what_was_decided_before_a_step_of_the_clock_is_stale(self, store):
        """8: A change or a poll that knew the old times is not taken; decided again it is."""
        watch = await follow(store, "queued")
        await store.shift(HOUR)
        with pytest.raises(Stale):
            await store.commit(moved(watch, "running"))
        assert await store.reschedule([steps.polled(watch)]) == [watch.id]
        shifted = await store.watch(watch.id)
        assert await store.reschedule([steps.polled(shifted)]) == []
        await store.commit(moved(shifted, "running"))

    # ------------------------------------------------------------------ forgetting

    async def test_what_is_over_long_enough_is_forgotten(self, store):
        """With its events, deliveries, attempts and answer; counted from the last settled delivery."""
        watch = await follow(store, "succeeded")
        delivery = (await owed(store, NOW))[0].delivery
        await store.settle(settlement(delivery, at=NOW + HOUR))
        assert await store.prune(NOW + HOUR, 100, (), 10) == 0
        assert await store.prune(NOW + HOUR + SECOND, 100, (), 10) == 1
        assert await store.watch(watch.id) is None
        assert await store.delivery(delivery.id) is None
        assert await store.event(delivery.event_id) is None
        assert (await store.stats()).watches == {}

    async def test_what_owes_or_is_open_is_never_forgotten(self, store):
        """However old it is, and however many there are."""
        await follow(store, "queued", of=given.watch("open"))
        await follow(store, "succeeded", of=given.watch("owes"))
        assert await store.prune(FOREVER, 0, (), 10) == 0

    async def test_too_many_are_forgotten_oldest_first(self, store):
        """Above the limit the longest settled go, but for those that are to stay."""
        ids = []
        for number in range(4):
            watch = await follow(store, "succeeded", of=given.watch(f"task-{number}"), to=Routes())
            ids.append(watch.id)
        assert await store.prune(LONG_AGO, 2, {ids[0]}, 10) == 2
        assert [watch.id for watch in (await store.watches(WatchQuery())).items] == [ids[3], ids[0]]

    async def test_a_prune_is_limited(self, store):
        """No more than asked for at once."""
        for number in range(3):
            await follow(store, "succeeded", of=given.watch(f"task-{number}"), to=Routes())
        assert await store.prune(FOREVER, 0, (), 2) == 2
        assert await store.prune(FOREVER, 0, (), 2) == 1

    async def test_a_forgotten_watch_can_begin_anew(self, store):
        """Its id is free again, from version one."""
        watch = await follow(store, "succeeded", to=Routes())
        await store.prune(FOREVER, 0, (), 10)
        await follow(store, "queued")
        assert (await store.watch(watch.id)).state is WatchState.QUEUED

    async def test_events_about_ourselves_are_forgotten_when_settled(self, store):
        """Old ones that owe nothing; the mark stays."""
        change = about_ourselves(
            steps.mark(), AccountData("302ai", None, 3), EventType.PROVIDER_DEGRADED, Routes({"team": ("*",)})
        )
        await store.commit(change)
        await store.prune(FOREVER, 0, (), 10)
        assert await store.event(change.events[0].id) == change.events[0]
        await store.settle(settlement((await owed(store, NOW))[0].delivery))
        await store.prune(NOW, 0, (), 10)
        assert await store.event(change.events[0].id) == change.events[0]
        await store.prune(FOREVER, 0, (), 10)
        assert await store.event(change.events[0].id) is None
        assert await store.marks() == [steps.mark()]

    # ------------------------------------------------------------------ 10: how long tasks take

    async def test_a_change_teaches_how_long_its_kind_takes(self, store):
        """10: Provider, account and key each have a law of their own; other changes teach nothing."""
        for number, key in enumerate(("", "", "large")):
            await follow(store, of=given.watch(f"task-{number}", key=key))
            await store.commit(ended(given.watch(f"task-{number}", key=key), (20 + number) * SECOND))
        await follow(store, "queued", of=given.watch("other", account="team"))
        kind = ("302ai-browser", "302ai", "")
        assert await store.law(kind) == taught(taught(Law(kind), 20 * SECOND), 21 * SECOND)
        large = await store.law(("302ai-browser", "302ai", "large"))
        assert large.count == 1
        assert await store.law(("302ai-browser", "team", "")) is None
        assert await store.laws("302ai-browser") == [await store.law(kind), large]
        assert await store.laws("other") == []

    async def test_what_is_refused_teaches_nothing(self, store):
        """1, 10: Of two who saw the end, the one who is Stale is not counted."""
        watch = await follow(store)
        change = ended(watch, 20 * SECOND)
        await asyncio.gather(store.commit(change), store.commit(change), return_exceptions=True)
        assert [law.count for law in await store.laws(watch.provider)] == [1]

    async def test_a_law_outlives_the_watches_that_taught_it(self, store):
        """10: Retention forgets tasks, not how long they took; a step of the clock moves no length."""
        watch = await follow(store)
        await store.commit(ended(watch, 20 * SECOND))
        before = await store.laws(watch.provider)
        await store.shift(HOUR)
        assert await store.prune(FOREVER, 0, (), 10) == 1
        assert await store.laws(watch.provider) == before != []

    async def test_the_kind_that_was_taught_the_longest_ago_is_forgotten(self, store):
        """10: A thousand kinds are remembered, whatever keys come with registrations."""

        async def teach(number):
            watch = given.watch(f"task-{number}", key=f"{number % 1002:04}")
            await store.commit(Change(watch=watch))
            await store.commit(ended(watch, 20 * SECOND))

        for number in (*range(1000), 1002, 1000, 1001):
            await teach(number)
        laws = await store.laws("302ai-browser")
        assert len(laws) == 1000
        assert [law.kind[2] for law in laws[:2]] == ["0000", "0003"]
        assert laws[0].count == 2

    # ------------------------------------------------------------------ pages and counts

    async def test_counts(self, store):
        """Watches by state, events, and what is pending by group since when."""
        await follow(store, "queued", of=given.watch("a"))
        await follow(store, "running", "succeeded", of=given.watch("b"))
        found = await store.stats()
        assert (found.watches, found.events) == ({"queued": 1, "succeeded": 1}, 3)
        assert (found.pending, found.oldest_pending_at) == ({"builds": 3}, NOW)
        assert await store.open_watches("302ai") == 1
        assert await store.open_watches("nobody") == 0

    async def test_watches_come_newest_first_by_page(self, store):
        """A cursor goes on where its page ended, also among equal times."""
        for number in range(5):
            await follow(store, of=given.watch(f"task-{number}"))
        seen, cursor = [], None
        while True:
            page = await store.watches(WatchQuery(limit=2, cursor=cursor))
            seen += [watch.task_id for watch in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert seen == [f"task-{number}" for number in (4, 3, 2, 1, 0)]

    async def test_cursors_stand_in_a_url_and_in_a_shell_as_they_are(self, store):
        """Whoever pastes a page's `next` behind ?cursor= gets the next page."""
        for number in range(2):
            await follow(store, "queued", of=given.watch(f"task-{number}"))
        pages = (
            await store.watches(WatchQuery(limit=1)),
            await store.deliveries(DeliveryQuery(limit=1)),
            await store.events(EventQuery(limit=1)),
        )
        for page in pages:
            assert re.fullmatch(r"[A-Za-z0-9._]+", page.next)

    async def test_watches_are_found_by_what_they_are(self, store):
        """By owner, state, provider and account."""
        await follow(store, of=given.watch("a", owner="ci", provider="p", account="x"))
        await follow(store, "queued", of=given.watch("b", owner="me", provider="q", account="y"))

        async def found(**query):
            return [watch.task_id for watch in (await store.watches(WatchQuery(**query))).items]

        assert await found() == ["b", "a"]
        assert await found(owner="ci") == ["a"]
        assert await found(owner="") == []
        assert await found(states={WatchState.QUEUED, WatchState.RUNNING}) == ["b"]
        assert await found(provider="p") == ["a"]
        assert await found(account="y") == ["b"]

    async def test_the_feed_of_events_goes_on(self, store):
        """Oldest first; the cursor of the last page finds what comes later, and nothing twice."""
        watch = await follow(store, "queued", "running")
        first = await store.events(EventQuery(limit=1))
        rest = await store.events(EventQuery(cursor=first.next))
        assert [event.sequence for event in (*first.items, *rest.items)] == [1, 2]
        assert (await store.events(EventQuery(cursor=rest.next))).items == []
        await store.commit(moved(watch, "succeeded"))
        later = await store.events(EventQuery(cursor=rest.next))
        assert [event.type for event in later.items] == [EventType.TASK_SUCCEEDED]

    async def test_events_are_found_by_what_they_are(self, store):
        """By owner, by a glob of their type, by watch."""
        watch = await follow(store, "queued", "succeeded", of=given.watch("a", owner="ci"))
        await follow(store, "queued", of=given.watch("b", owner="me"))

        async def found(**query):
            return [event.type.value for event in (await store.events(EventQuery(**query))).items]

        assert await found() == ["task.queued", "task.succeeded", "task.queued"]
        assert await found(owner="me") == ["task.queued"]
        assert await found(type="*.succeeded") == ["task.succeeded"]
        assert await found(watch=watch.id) == ["task.queued", "task.succeeded"]
        assert await found(watch="w_0") == []

    async def test_deliveries_are_found_by_what_they_are(self, store):
        """Newest first; by owner, state, destination and watch; by page."""
        to = Routes({"builds": ("task.*",), "team": ("*.succeeded",)})
        watch = await follow(store, "queued", "succeeded", of=given.watch("a", owner="ci"), to=to)
        await follow(store, "queued", of=given.watch("b"), to=to)
        await store.settle(settlement((await owed(store, NOW, 1))[0].delivery))

        async def found(**query):
            page = await store.deliveries(DeliveryQuery(**query))
            return [(one.destination, one.event_type.value.removeprefix("task.")) for one in page.items]

        everything = [("builds", "queued"), ("team", "succeeded"), ("builds", "succeeded"), ("builds", "queued")]
        assert await found() == everything
        assert await found(owner="ci") == everything[1:]
        assert await found(state=DeliveryState.DELIVERED) == [("builds", "queued")]
        assert await found(destination="team") == [("team", "succeeded")]
        assert await found(watch=watch.id) == everything[1:]
        page = await store.deliveries(DeliveryQuery(limit=3))
        assert await found(cursor=page.next) == everything[3:]

    @pytest.mark.parametrize(
        "cursor", ["x", "x.w_1", "1763789580000000.", ".", "2026-11-22T05:33:00Z.w_1", f"{'9' * 30}.w_1"]
    )
    async def test_a_cursor_that_is_none_is_refused(self, store, cursor):
        """Somebody's guess is answered with what to pass instead."""
        for ask, query in ((store.watches, WatchQuery), (store.deliveries, DeliveryQuery), (store.events, EventQuery)):
            with pytest.raises(BadInput, match="is no cursor: pass the 'next'") as caught:
                await ask(query(cursor=cursor))
            assert caught.value.code == "bad_cursor"

    async def test_upkeep_and_probe_have_nothing_to_say(self, store):
        """A store that is well tends itself and shows that it can write."""
        await store.tend()
        await store.probe()
