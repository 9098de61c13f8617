"""Slots: the fixed parts into which a record store's work is split."""

from __future__ import annotations

from zlib import crc32

SLOT_COUNT = 16  # chosen when a schema is made, and stored with it


def slot_of(run_id: str, slot_count: int = SLOT_COUNT) -> int:
    """Return the slot of a run: stable between processes, versions and machines."""
    return crc32(run_id.encode()) % slot_count


def group_of(slot: int, group_count: int, slot_count: int = SLOT_COUNT) -> int:
    """Return which of `group_count` groups (from 1) a slot belongs to."""
    return slot * group_count // slot_count + 1


def slots_of(group: int, group_count: int, slot_count: int = SLOT_COUNT) -> tuple[int, ...]:
    """Return the slots of group `group` (from 1) of `group_count`."""
    return tuple(s for s in range(slot_count) if group_of(s, group_count, slot_count) == group)
