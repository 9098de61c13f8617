-- Children of runs; `run_state` 0 says that a child never began, `taken_version` 0 that no join had it.
create table child (
    run_id text not null primary key,
    parent_run_id text not null,
    progress_version integer not null,
    number integer not null,
    workflow text not null,
    foreign_id text not null,
    status integer not null,
    is_cancelled_with_parent integer not null,
    run_state integer not null,
    is_open integer not null,
    in_use_by text not null,
    taken_version integer not null
) without rowid;
create index child_order on child (parent_run_id, progress_version, number, run_id);
create index child_waiting on child (parent_run_id, taken_version, is_open);
