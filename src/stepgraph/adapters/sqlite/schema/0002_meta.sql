-- What a run was created with: the trace context of its trigger, and whose child it is.
alter table run add column trace_parent text not null default '';
alter table run add column parent text not null default '';
