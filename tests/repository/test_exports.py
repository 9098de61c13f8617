"""The public names are exact, sorted and documented."""

import stepgraph


def test_public_names_are_sorted_and_there():
    assert stepgraph.__all__ == sorted(stepgraph.__all__)
    assert all(hasattr(stepgraph, name) for name in stepgraph.__all__)


def test_every_public_class_says_what_it_is_for():
    missing = [
        name
        for name in stepgraph.__all__
        if isinstance(value := getattr(stepgraph, name), type) and not (value.__doc__ or "").strip()
    ]

    assert missing == []
