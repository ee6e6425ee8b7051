-- Tenants that are being moved from one placement to another. Both places are taken until a move is over.

-- additive: yes
-- +goose Up
create table control.moves (
    tenant_id     bigint      not null references control.tenants (id) on delete cascade,
    from_server   text,
    from_database text,
    from_schema   text        not null,
    to_server     text,
    to_database   text,
    to_schema     text        not null,
    -- copying: the rows are at the first place. copied: they are at both, and are changed at the first place unless it is closed.
    -- switched: the directory names the second place, and what is left at the first one is to be removed.
    step          text        not null default 'copying' check (step in ('copying', 'copied', 'switched')),
    began_at      timestamptz not null default now(),
    switched_at   timestamptz,
    primary key (tenant_id)
);

-- +goose Down
drop table control.moves;
