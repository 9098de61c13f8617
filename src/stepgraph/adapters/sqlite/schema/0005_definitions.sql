-- What each release of a workflow looks like, for whoever acts on its runs without its code.
create table definition (
    workflow text not null,
    fingerprint text not null,
    body blob not null,
    started_by text not null,
    started_at integer not null,
    first_started_at integer not null,
    primary key (workflow, fingerprint)
) without rowid;
