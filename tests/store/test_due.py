"""The heap of heaps against the plainest reading of what it promises."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ringback.store.due import DueHeap

IDS = st.sampled_from([f"id-{number}" for number in range(12)])
GROUPS = st.sampled_from(["a", "b", "c"])
TIMES = st.integers(0, 20).map(float)
LIMITS = st.dictionaries(GROUPS, st.integers(0, 3))


class Naive:
    """A dict that is sorted whenever somebody asks."""

    def __init__(self):
        self.at = {}
        self.leases = set()
        self.count = 0

    def set(self, id, group, at):
        self.remove(id)
        self.count += 1
        self.at[id] = (at, self.count, group)

    def remove(self, id):
        self.at.pop(id, None)
        self.leases.discard(id)

    def times(self):
        return sorted((at, id) for id, (at, _, _) in self.at.items())

    def next_at(self, without):
        return min((at for at, _, group in self.at.values() if group not in without), default=None)


class Heaps(RuleBasedStateMachine):
    """Any calls in any order."""

    def __init__(self):
        super().__init__()
        self.heap, self.naive = DueHeap(), Naive()

    @rule(id=IDS, group=GROUPS, at=TIMES)
    def set(self, id, group, at):
        self.heap.set(id, group, at)
        self.naive.set(id, group, at)

    @rule(id=IDS)
    def remove(self, id):
        self.heap.remove(id)
        self.naive.remove(id)

    @rule(by=st.integers(-20, 20).map(float))
    def shift(self, by):
        self.heap.shift(by)
        self.naive.at = {id: (at + by, count, group) for id, (at, count, group) in self.naive.at.items()}

    @rule(now=TIMES, limit=st.integers(0, 8), limits=LIMITS, lease=st.integers(1, 9))
    def claim(self, now, limit, limits, lease):
        """What is claimed is due, within its limits, the longest due first; and nothing that might be is left out."""
        before = dict(self.naive.at)
        claimed = self.heap.claim(now, limit, limits, now + lease)
        assert len(set(claimed)) == len(claimed) <= limit
        assert all(before[id][0] <= now for id in claimed)
        assert [before[id][0] for id in claimed] == sorted(before[id][0] for id in claimed)
        for group in {before[id][2] for id in claimed}:
            of_group = [id for id in claimed if before[id][2] == group]
            assert len(of_group) <= limits.get(group, limit)
            earliest = sorted(at for at, _, its in before.values() if its == group)
            assert [before[id][0] for id in of_group] == earliest[: len(of_group)]
        left = {id: (at, group) for id, (at, _, group) in before.items() if at <= now and id not in claimed}
        if len(claimed) < limit:
            for _, group in left.values():
                assert sum(before[id][2] == group for id in claimed) == limits.get(group, limit)
        elif claimed:
            last = before[claimed[-1]][0]
            for at, group in left.values():
                full = sum(before[id][2] == group for id in claimed) >= limits.get(group, limit)
                assert full or at >= last
        for id in claimed:
            self.naive.set(id, before[id][2], now + lease)
            self.naive.leases.add(id)

    @rule(without=st.sets(GROUPS))
    def next_at(self, without):
        assert self.heap.next_at(without) == self.naive.next_at(without)

    @invariant()
    def sizes_and_leases_agree(self):
        assert len(self.heap) == len(self.naive.at)
        assert {id for id in self.naive.at if self.heap.leased(id)} == self.naive.leases


TestHeaps = Heaps.TestCase


@given(times=st.lists(st.integers(0, 1000), min_size=1, max_size=200))
def test_everything_comes_out_in_order(times):
    """Set once, claimed one by one: sorted by time."""
    heap = DueHeap()
    for number, at in enumerate(times):
        heap.set(str(number), "g" + str(number % 3), float(at))
    found = [times[int(heap.claim(1000, 1, {}, 5000)[0])] for _ in times]
    assert found == sorted(times)
    assert heap.claim(1000, 1, {}, 5000) == []


def test_what_is_set_again_and_again_does_not_pile_up():
    """A watch that is polled for years leaves no trail in its heap."""
    heap = DueHeap()
    for number in range(10_000):
        heap.set("id", "group", float(number))
    assert len(heap) == 1
    assert len(heap._groups["group"]) < 100
    assert len(heap._heads) < 100


def test_groups_that_are_gone_are_forgotten():
    """A callback's origin that is never seen again takes no memory."""
    heap = DueHeap()
    for number in range(500):
        heap.set("id", f"group-{number}", 1.0)
        heap.claim(1.0, 1, {}, 2.0)
        heap.remove("id")
    heap.next_at(())
    heap.next_at({"nobody"})
    assert heap.next_at(()) is None
    assert len(heap._groups) <= 1
