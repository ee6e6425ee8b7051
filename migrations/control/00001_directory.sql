-- The control plane: which tenants there are, where each one's rows live, and which configuration this
-- database was set up for. It is in the default database only.
--
-- The runtime role may call tenant_by_slug, so that it can look one slug up; it may not read the tables,
-- so that it cannot list whom we serve.

-- +goose Up
create table control.deployment (
    configuration text    not null check (configuration in ('SingleSchema', 'MultipleDb', 'MultipleSchemas')),
    only_row      boolean not null default true check (only_row),
    primary key (only_row)
);

create table control.tenants (
    id         bigint      not null check (id > 0),
    slug       text        not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name       text        not null,
    database   text        not null,
    schema     text        not null,
    state      text        not null default 'creating' check (state in ('creating', 'active', 'suspended', 'dropping')),
    created_at timestamptz not null default now(),
    primary key (id),
    unique (slug)
);

-- +goose StatementBegin
create function control.tenant_by_slug(wanted text)
    returns table (id bigint, slug text, database text, schema text, state text)
    language sql stable security definer
    set search_path = ''
as $$ select t.id, t.slug, t.database, t.schema, t.state from control.tenants t where t.slug = wanted $$;
-- +goose StatementEnd
revoke all on function control.tenant_by_slug(text) from public;

-- +goose StatementBegin
create function control.configuration()
    returns text
    language sql stable security definer
    set search_path = ''
as $$ select d.configuration from control.deployment d $$;
-- +goose StatementEnd
revoke all on function control.configuration() from public;

-- +goose Down
drop function control.configuration();
drop function control.tenant_by_slug(text);
drop table control.tenants;
drop table control.deployment;
