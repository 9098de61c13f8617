-- Instants are microseconds since the epoch, UTC. Run states: see docs/reference/schema.
-- Texts compare by code point in every database, so that ids are sorted as the code sorts them.
create table run (
    entered_at bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    due_at bigint not null,
    ended_at bigint,
    status integer not null,
    version integer not null,
    attempt integer not null,
    progress_version integer not null,
    entered_version integer not null,
    run_state smallint not null,
    format smallint not null,
    is_keyed boolean not null,
    is_announced boolean not null,
    is_open boolean not null,
    run_id text collate "C" not null primary key,
    workflow text collate "C" not null,
    foreign_id text collate "C" not null,
    next text collate "C" not null,
    write_id bytea not null,
    visited text collate "C" not null,
    reason text collate "C" not null,
    failure_type text collate "C" not null,
    failure_text text collate "C" not null,
    trace_origin text collate "C" not null,
    trace_parent text collate "C" not null,
    parent text collate "C" not null,
    object bytea not null
-- Half of each page is left free, and no index has a column that a transition changes: so that the
-- next version of a row fits beside it and no index is touched.
) with (fillfactor = 50);
create unique index run_open on run (workflow, foreign_id) where is_open;
create index run_owner on run (workflow, foreign_id, run_id);
create index run_list on run (workflow, run_id);
create index run_ended on run (workflow, ended_at, run_id) where ended_at is not null;

create table history (
    at bigint not null,
    started_at bigint not null,
    next_at bigint,
    version integer not null,
    attempt integer not null,
    status integer not null,
    try_number integer not null,
    run_state smallint not null,
    previous_run_state smallint not null,
    run_id text collate "C" not null,
    write_id bytea not null,
    cause text collate "C" not null,
    actor text collate "C" not null,
    reason text collate "C" not null,
    role text collate "C" not null,
    instance text collate "C" not null,
    object bytea,
    error_type text collate "C",
    message text collate "C",
    traceback text collate "C",
    primary key (run_id, version, attempt)
);

create table queue (
    due_at bigint not null,
    version integer not null,
    attempt integer not null,
    slot smallint not null,
    consumer text collate "C" not null,
    id text collate "C" not null,
    workflow text collate "C" not null,
    foreign_id text collate "C" not null,
    run_id text collate "C" not null,
    body bytea not null,
    primary key (consumer, slot, due_at, id)
-- Every row is deleted soon, so what is dead is cleared away as soon as there are some pages of it.
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0);
-- Step work, which makes nearly all of the queue, is left out: an ended run has no use for it.
create index queue_about on queue (run_id, foreign_id)
    where id <> run_id and consumer <> workflow || '/relay';

create table dead_letter (
    due_at bigint not null,
    parked_at bigint not null,
    version integer not null,
    attempt integer not null,
    slot smallint not null,
    consumer text collate "C" not null,
    id text collate "C" not null,
    workflow text collate "C" not null,
    foreign_id text collate "C" not null,
    run_id text collate "C" not null,
    body bytea not null,
    error text collate "C" not null,
    primary key (consumer, slot, due_at, id)
);
create index dead_letter_parked on dead_letter (parked_at, due_at, id);
create index dead_letter_about on dead_letter (run_id, foreign_id);

create table unique_name (
    at bigint not null,
    scope text collate "C" not null,
    key text collate "C" not null,
    workflow text collate "C" not null,
    body bytea not null,
    primary key (scope, key)
);
create index unique_name_age on unique_name (workflow, at);

-- What a run that was created under a key leaves behind when it is pruned.
create table tombstone (
    until bigint not null,
    run_state smallint not null,
    run_id text collate "C" not null primary key,
    workflow text collate "C" not null
);
create index tombstone_until on tombstone (workflow, until);

create table timeout (
    due_at bigint not null,
    entered_version integer not null,
    status integer not null,
    attempt integer not null,
    slot smallint not null,
    is_done boolean not null,
    run_id text collate "C" not null,
    name text collate "C" not null,
    workflow text collate "C" not null,
    foreign_id text collate "C" not null,
    primary key (run_id, entered_version, name)
);
create index timeout_due on timeout (workflow, slot, due_at, run_id, name) where not is_done;

create table schedule (
    jitter bigint not null,
    started_at bigint not null,
    next_slot bigint,
    last_slot bigint,
    version integer not null,
    is_paused boolean not null,
    is_retired boolean not null,
    workflow text collate "C" not null,
    name text collate "C" not null,
    fingerprint text collate "C" not null,
    spec text collate "C" not null,
    zone text collate "C" not null,
    foreign_id text collate "C" not null,
    catch_up text collate "C" not null,
    overlap text collate "C" not null,
    last_decision text collate "C",
    object bytea not null,
    primary key (workflow, name, fingerprint)
);

create table definition (
    started_at bigint not null,
    first_started_at bigint not null,
    workflow text collate "C" not null,
    fingerprint text collate "C" not null,
    started_by text collate "C" not null,
    body bytea not null,
    primary key (workflow, fingerprint)
);

-- `run_state` 0 says that a child never began, `taken_version` 0 that no join had it.
create table child (
    progress_version integer not null,
    number integer not null,
    status integer not null,
    taken_version integer not null,
    run_state smallint not null,
    is_cancelled_with_parent boolean not null,
    is_open boolean not null,
    run_id text collate "C" not null primary key,
    parent_run_id text collate "C" not null,
    workflow text collate "C" not null,
    foreign_id text collate "C" not null,
    in_use_by text collate "C" not null
);
create index child_order on child (parent_run_id, progress_version, number, run_id);
create index child_waiting on child (parent_run_id, taken_version, is_open);

-- Leases go by the server's clock alone.
create table instance (
    joined_at timestamptz not null,
    expires_at timestamptz not null,
    id text collate "C" not null primary key,
    can_hold text collate "C" not null
) with (fillfactor = 50);

create table role (
    epoch bigint not null,
    name text collate "C" not null primary key,
    holder text collate "C"
);

create table subscription (
    topic text collate "C" not null,
    name text collate "C" not null,
    primary key (topic, name)
);

create table event (
    position bigint generated always as identity primary key,
    created_at bigint not null,
    version integer not null,
    attempt integer not null,
    slot smallint not null,
    topic text collate "C" not null,
    name text collate "C" not null,
    workflow text collate "C" not null,
    foreign_id text collate "C" not null,
    run_id text collate "C" not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0);
create index event_read on event (topic, name, slot, position);
