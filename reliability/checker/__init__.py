"""The checker: every invariant that a simulation can see, from a recorded history.

An invariant is a function from an `Index` of the history to what is wrong, as texts. Its number is
in its name; `TABLE` holds them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reliability.checker import across, ending, functions, single_run
from reliability.checker.index import Index
from reliability.history import History

Invariant = Callable[[Index], Iterable[str]]

TABLE: dict[str, Invariant] = {
    "I1": single_run.i1_versions_rise_by_one,
    "I2": single_run.i2_birth,
    "I3": single_run.i3_edges_only,
    "I4": single_run.i4_run_state_edges_only,
    "I5": single_run.i5_nothing_after_the_end,
    "I6": single_run.i6_one_writer_a_version,
    "I7": across.i7_ok_means_committed,
    "I8": across.i8_fail_means_not_committed,
    "I9": single_run.i9_no_lost_or_doubled_update,
    "I10": single_run.i10_immutable_facts,
    "I11": single_run.i11_terminal_means_completed,
    "I12": across.i12_one_open_run,
    "I13": across.i13_in_progress_was_true,
    "I14": across.i14_one_run_a_key,
    "I15": across.i15_no_cross_talk,
    "I18": functions.i18_no_invented_event,
    "I21": functions.i21_first_deliveries_in_order,
    "I22": functions.i22_a_function_sees_its_version,
    "I23": functions.i23_bounded_repeats,
    "I24": functions.i24_hook_at_least_once,
    "I25": functions.i25_hook_neither_early_nor_wrong,
    "I26": functions.i26_timer_never_early,
    "I27": functions.i27_timer_never_lost,
    "I28": functions.i28_timer_never_strays,
    "I29": functions.i29_timer_once,
    "I32": across.i32_callback_once_never_silent,
    "I33": functions.i33_connector_at_least_once,
    "I34": functions.i34_source_is_told_after,
    "I35": ending.i35_gone_means_gone,
    "I36": ending.i36_epochs_grow,
    "I38": across.i38_an_action_is_a_compare_and_swap,
    "I39": ending.i39_everything_finishes,
    "I40": ending.i40_no_error_within,
    "I42": ending.i42_time_limits_are_kept,
    "idempotency key": functions.keys_name_the_piece_of_work,
}
ELSEWHERE = {
    "I16": "checked by the store at every write, while the world runs",
    "I17": "events may be lost: I16 (a row at every instant) and I39 (everything finishes) say it",
    "I19": "checked by the store at every deletion of a row: a waiting run never loses its row",
    "I20": "there are no cursors: work is rows, and a stream's positions are finished singly",
    "I30": "schedules are not part of the zoo yet",
    "I31": "schedules are not part of the zoo yet",
    "I37": "the others hold while roles overlap: every world with a double grant says so",
    "I41": "checked at the end of a world on every live node",
}


def check(history: History) -> list[str]:
    """Return every violation, each with the invariant that it breaks."""
    index = Index(history)
    return [f"{name}: {text}" for name, rule in TABLE.items() for text in list(rule(index))[:3]]
