-- Instants are microseconds since the epoch, UTC. Run states: see docs/reference/schema.
create table run (
    run_id text not null primary key,
    workflow text not null,
    foreign_id text not null,
    status integer not null,
    run_state integer not null,
    version integer not null,
    attempt integer not null,
    progress_version integer not null,
    entered_version integer not null,
    entered_at integer not null,
    created_at integer not null,
    updated_at integer not null,
    due_at integer not null,
    next text not null,
    write_id blob not null,
    visited text not null,
    reason text not null,
    failure_type text not null,
    failure_text text not null,
    trace_origin text not null,
    object blob not null,
    is_keyed integer not null,
    is_announced integer not null,
    format integer not null,
    is_open integer not null
);
create unique index run_open on run (workflow, foreign_id) where is_open = 1;
create index run_owner on run (workflow, foreign_id, run_id);
create index run_list on run (workflow, run_id);
create index run_lost on run (workflow, status, due_at)
    where is_announced = 1 and run_state in (1, 2);
create index run_without_step on run (workflow, status)
    where next = 'no_step' and run_state in (1, 2);

create table history (
    run_id text not null,
    version integer not null,
    attempt integer not null,
    write_id blob not null,
    status integer not null,
    run_state integer not null,
    previous_run_state integer not null,
    cause text not null,
    at integer not null,
    started_at integer not null,
    try_number integer not null,
    actor text not null,
    reason text not null,
    role text not null,
    instance text not null,
    object blob,
    error_type text,
    message text,
    traceback text,
    next_at integer,
    unique (run_id, version, attempt)
);

create table queue (
    consumer text not null,
    slot integer not null,
    due_at integer not null,
    id text not null,
    workflow text not null,
    foreign_id text not null,
    run_id text not null,
    version integer not null,
    attempt integer not null,
    body blob not null,
    primary key (consumer, slot, due_at, id)
) without rowid;

create table dead_letter (
    consumer text not null,
    slot integer not null,
    due_at integer not null,
    id text not null,
    workflow text not null,
    foreign_id text not null,
    run_id text not null,
    version integer not null,
    attempt integer not null,
    body blob not null,
    error text not null,
    parked_at integer not null,
    primary key (consumer, slot, due_at, id)
) without rowid;

create table unique_name (
    scope text not null,
    key text not null,
    body blob not null,
    primary key (scope, key)
) without rowid;

create table timeout (
    run_id text not null,
    entered_version integer not null,
    name text not null,
    workflow text not null,
    foreign_id text not null,
    status integer not null,
    slot integer not null,
    due_at integer not null,
    attempt integer not null,
    is_done integer not null,
    primary key (run_id, entered_version, name)
) without rowid;
create index timeout_due on timeout (workflow, slot, due_at) where is_done = 0;

create table instance (
    id text not null primary key,
    lock_path text not null,
    can_hold text not null,
    joined_at real not null,
    expires_at real not null
);

create table role (
    name text not null primary key,
    holder text,
    epoch integer not null
) without rowid;

create table subscription (
    topic text not null,
    name text not null,
    primary key (topic, name)
) without rowid;

create table event (
    position integer primary key autoincrement,
    topic text not null,
    name text not null,
    slot integer not null,
    workflow text not null,
    foreign_id text not null,
    run_id text not null,
    version integer not null,
    attempt integer not null,
    created_at integer not null
);
create index event_read on event (topic, name, slot, position);
