"""The one door: what a second registration adds, and what it leaves alone."""

from __future__ import annotations

import asyncio

import pytest
from given import HOUR, MINUTE, SECOND
from msgspec import structs

from ringback.core.errors import BadInput
from ringback.core.model import WatchState
from ringback.credentials import Credentials, Keys, Secret
from ringback.intake import Intake
from ringback.providers.shelf import shipped
from ringback.registration import ADMIN, Registration, Terms, draft
from ringback.store.base import DeliveryQuery, WatchQuery
from ringback.store.journal import JournalStore

HOOK = "http://127.0.0.1:9/hook"


async def finished(daemon, upstream, **fields):
    """A task that is over at its first poll."""
    upstream.says("t", "finished")
    watch = await daemon.register("t", **fields)
    await daemon.poll()
    await daemon.deliver()
    return watch


async def test_registering_twice_adds_what_is_new_and_changes_nothing_else(daemon):
    """One watch; callbacks, destinations and metadata add up."""
    daemon.configure({"builds": daemon.callbacks, "team": daemon.callbacks})
    first = await daemon.register("t", to=["builds"], metadata={"a": "1"}, callback_url=HOOK)
    again = await daemon.register("t", to=["team"], metadata={"b": "2"}, callback_url=HOOK + "2")
    assert again.id == first.id
    assert (again.to, again.metadata) == (("builds", "team"), {"a": "1", "b": "2"})
    assert [callback.url for callback in again.callbacks] == [HOOK, HOOK + "2"]
    same = await daemon.register("t", to=["team"], metadata={"b": "2"}, callback_url=HOOK + "2")
    assert same == again


async def test_a_second_registration_corrects_a_param_that_tells_no_ids_apart(daemon, upstream):
    """The next poll asks with it, and durations are learned by it; one that names none keeps what there is."""
    upstream.says("t", 404, "running")
    wrong = await daemon.register("t", provider="302ai-jimeng-seaweed", params={"model": "doubao-sedance"})
    await daemon.poll()
    right = await daemon.register("t", provider="302ai-jimeng-seaweed", params={"model": "doubao-seedance"})
    assert (right.id, right.params, right.key) == (wrong.id, {"model": "doubao-seedance"}, "doubao-seedance")
    assert (await daemon.register("t", provider="302ai-jimeng-seaweed")).params == right.params
    await daemon.intake.poll_soon(right.id)
    await daemon.poll()
    assert [url.rpartition("/doubao/")[2] for url in upstream.urls] == ["doubao-sedance/t", "doubao-seedance/t"]
    assert (await daemon.store.watch(right.id)).state is WatchState.RUNNING


async def test_a_newcomer_does_not_narrow_what_others_asked_for(daemon, upstream, mailbox):
    """Its events are its callback's, not those of somebody else's destination."""
    daemon.configure({"builds": mailbox()})
    await daemon.register("t", to=["builds"], events=["task.*"])
    await daemon.register("t", callback_url=HOOK, events=["task.failed"])
    await finished(daemon, upstream)
    assert daemon.mailboxes["builds"].types == ["task.succeeded"]


async def test_whoever_joins_a_final_watch_hears_at_once_and_nobody_twice(daemon, upstream, mailbox):
    """The final event with its first id; a destination that had it by a route does not get it again."""
    daemon.configure({"builds": mailbox()})
    await finished(daemon, upstream)
    await daemon.register("t", callback_url=HOOK, to=["builds"])
    await daemon.deliver()
    assert daemon.callbacks.types == ["task.succeeded"]
    assert daemon.mailboxes["builds"].types == ["task.succeeded"]
    assert daemon.callbacks.got[0].event.id == daemon.mailboxes["builds"].got[0].event.id


async def test_reopening_follows_again_and_the_sequence_goes_on(daemon, upstream, clock, mailbox):
    """Asked for with reopen; abandoned ones reopen by themselves."""
    daemon.configure({"builds": mailbox()})
    watch = await finished(daemon, upstream)
    await daemon.register("t")
    assert (await daemon.store.watch(watch.id)).state is WatchState.SUCCEEDED
    await daemon.register("t", reopen=True)
    await daemon.poll()
    await daemon.deliver()
    assert [message.event.sequence for message in daemon.mailboxes["builds"].got] == [1, 2]
    upstream.says("u", "running")
    other = await daemon.register("u")
    await daemon.intake.abandon(other.id)
    await daemon.register("u")
    assert (await daemon.store.watch(other.id)).state is WatchState.PENDING


async def test_what_stands_in_the_configuration_is_followed_once(daemon, upstream, clock, mailbox):
    """Every start and reload registers it again: it reopens nothing, and no deadline moves."""
    daemon.configure({"builds": mailbox()})
    asked = Registration(provider="302ai-browser", task_id="t", reopen=True, deadline="10m")
    wanted = draft(asked, ADMIN, daemon.intake.terms)
    upstream.says("t", "finished")
    first = (await daemon.intake.follow(wanted, standing=True)).watch
    clock.turn(MINUTE)
    assert (await daemon.intake.follow(wanted, standing=True)).watch == first
    for _ in range(3):
        await daemon.poll()
        await daemon.deliver()
        await daemon.intake.follow(wanted, standing=True)
        clock.turn(MINUTE)
    assert daemon.mailboxes["builds"].types == ["task.succeeded"]


async def test_a_nearer_deadline_is_kept(daemon, upstream, clock):
    """Even when the next poll was planned for later."""
    upstream.says("t", "running")
    watch = await daemon.register("t", interval="1h")
    await daemon.poll()
    await daemon.register("t", deadline="1m")
    await daemon.until(2 * MINUTE, step=10 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(watch.id)).state is WatchState.EXPIRED


async def test_a_shorter_interval_holds_from_now_on(daemon, upstream, clock):
    """Not from the next poll on, which may be an hour away."""
    upstream.says("t", "running")
    watch = await daemon.register("t", interval="1h")
    await daemon.poll()
    clock.turn(SECOND)
    again = await daemon.register("t", interval="10s")
    assert again.next_poll_at == clock.now() + 10 * SECOND
    later = await daemon.register("t", interval="2h")
    assert later.next_poll_at == again.next_poll_at
    clock.turn(10 * SECOND)
    await daemon.poll()
    assert len(upstream.asked) == 2
    assert (await daemon.store.watch(watch.id)).interval == 2 * HOUR


async def test_polling_soon_waits_for_what_the_provider_asked(daemon, upstream, clock):
    """Retry-After still holds."""
    upstream.says("t", "running")
    watch = await daemon.register("t", interval="1h")
    await daemon.poll()
    await daemon.intake.poll_soon(watch.id)
    await daemon.poll()
    assert upstream.asked == ["t", "t"]
    assert (await daemon.store.watch(watch.id)).next_poll_at >= clock.now() + HOUR * 0.9


def asked_at(daemon, base_url, vendor):
    """The daemon with one account, whose key goes to this place."""
    credentials = Credentials({vendor: Keys(base_url=base_url)})
    daemon.intake.terms = Terms(
        catalogue=shipped(), accounts={vendor: vendor}, base_urls={vendor: base_url}, credentials=credentials
    )


@pytest.mark.parametrize(
    ("provider", "task_id", "params", "says"),
    [
        ("302ai-browser", "..", {}, "only dots"),
        ("302ai-browser", ".", {}, "only dots"),
        ("302ai-jimeng-seaweed", "t", {"model": "../../x"}, "check the dots"),
    ],
)
async def test_what_can_never_be_asked_is_refused(daemon, provider, task_id, params, says):
    """At once, and nothing is kept: a watch that waits for its deadline helps nobody."""
    with pytest.raises(BadInput, match=says):
        await daemon.register(task_id, provider=provider, params=params)
    assert (await daemon.store.watches(WatchQuery())).items == []


@pytest.mark.parametrize(
    ("task_id", "says"),
    [
        ("5", "no whole URL"),
        ("https://evil.example/operations/5", "the key of account 'azure' may not go to"),
        ("http://me.cognitiveservices.azure.com/operations/5", "the key of account 'azure' may not go to"),
    ],
)
async def test_an_id_that_leads_a_key_astray_is_refused(daemon, task_id, says):
    """Where the id is the URL, it must lead to where the account's key may go."""
    asked_at(daemon, "https://me.cognitiveservices.azure.com", "azure")
    with pytest.raises(BadInput, match=says):
        await daemon.register(task_id, provider="azure-operation-location")
    good = "https://me.cognitiveservices.azure.com/operations/5"
    assert (await daemon.register(good, provider="azure-operation-location")).task_id == good


async def test_a_key_that_cannot_be_had_just_now_refuses_no_registration(daemon, tmp_path):
    """Its file may come a moment later: nothing is signed yet."""
    missing = Secret.in_file(tmp_path / "not there yet")
    credentials = Credentials({"302ai": Keys({"api_key": missing})})
    daemon.intake.terms = structs.replace(daemon.intake.terms, credentials=credentials)
    assert (await daemon.register("t")).state is WatchState.PENDING


@pytest.fixture
async def journal(tmp_path, clock):
    store = JournalStore(tmp_path / "data")
    await store.open(clock.now())
    yield store
    await store.close()


async def test_many_registrations_of_one_task_at_once_become_one_watch(journal, clock):
    """Whoever meets another's commit waits for it to be durable, reads again and joins; the loop goes on meanwhile."""
    terms = Terms(catalogue=shipped(), accounts={"302ai": "302ai"}, credentials=Credentials({"302ai": Keys()}))
    intake = Intake(journal, clock.now, terms=terms, wake=lambda: None)
    asked = [Registration(provider="302ai-browser", task_id="t", metadata={f"k{number}": "v"}) for number in range(16)]
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    async with asyncio.timeout(20):
        results = await asyncio.gather(*map(intake.register, asked))
    beating.cancel()
    assert sum(result.created for result in results) == 1
    (watch,) = (await journal.watches(WatchQuery())).items
    assert len(watch.metadata) == 16
    assert turns > 16
    assert (await journal.deliveries(DeliveryQuery())).items == []
