-- Declared schedules have a row for each spec and zone; the decisions are unique names.
create table schedule (
    workflow text not null,
    name text not null,
    fingerprint text not null,
    spec text not null,
    zone text not null,
    foreign_id text not null,
    catch_up text not null,
    overlap text not null,
    jitter integer not null,
    object blob not null,
    started_at integer not null,
    next_slot integer,
    last_slot integer,
    last_decision text,
    is_paused integer not null,
    is_retired integer not null,
    version integer not null,
    primary key (workflow, name, fingerprint)
) without rowid;
