-- What was migrated where, when, by whom, and how it ended.

-- additive: yes
-- +goose Up
create table control.migration_log (
    id           bigint      not null generated always as identity,
    began_at     timestamptz not null default now(),
    ended_at     timestamptz, -- null: under way, or interrupted
    operator     text        not null,
    server       text        not null,
    database     text        not null,
    schema       text        not null,
    migrations   text        not null, -- the set
    from_version bigint,
    to_version   bigint,
    tries        int,
    error        text        not null default '',
    primary key (id)
);

-- +goose Down
drop table control.migration_log;
