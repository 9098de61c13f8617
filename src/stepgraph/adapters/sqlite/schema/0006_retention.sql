-- What is old is forgotten when asked; what a run with a key leaves behind is kept for a while.
create table tombstone (
    run_id text not null primary key,
    workflow text not null,
    run_state integer not null,
    until integer not null
) without rowid;
create index tombstone_until on tombstone (workflow, until);
-- Names that were taken before this count from now on.
alter table unique_name add column workflow text not null default '';
alter table unique_name add column at integer not null default 0;
update unique_name set workflow = substr(scope, 1, instr(scope, '/') - 1),
    at = cast(strftime('%s', 'now') as integer) * 1000000;
create index unique_name_age on unique_name (workflow, at);
create index run_ended on run (workflow, updated_at, run_id) where is_open = 0;
-- Step work, which makes nearly all of the queue, is left out: an ended run has no use for it.
create index queue_about on queue (run_id, foreign_id)
    where id <> run_id and consumer <> workflow || '/relay';
create index dead_letter_about on dead_letter (run_id, foreign_id);
