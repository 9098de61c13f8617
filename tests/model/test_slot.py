"""Slots: the unit of lease, by a hash of the run, so that a run stays with its consumer."""

from collections import Counter

from stepgraph.model.slot import SLOT_COUNT, group_of, slot_of


def test_runs_spread_evenly_and_a_run_keeps_its_slot():
    ids = [f"01b8dac5-b400-7{n:03x}-86a8-1c206ab8fd58" for n in range(4096)]
    counts = Counter(slot_of(run_id) for run_id in ids)

    assert set(counts) == set(range(SLOT_COUNT))
    assert max(counts.values()) < 1.5 * min(counts.values())
    assert all(slot_of(run_id) == slot_of(run_id) for run_id in ids[:10])


def test_groups_share_out_every_slot_whatever_their_number():
    for group_count in range(1, SLOT_COUNT + 1):
        counts = Counter(group_of(slot, group_count, SLOT_COUNT) for slot in range(SLOT_COUNT))
        assert set(counts) == set(range(1, group_count + 1))
        assert max(counts.values()) - min(counts.values()) <= 1
