-- The control plane: the directory of tenants with the placement of each, and the configuration that this database
-- was set up for. It is in the default database only.
--
-- The runtime role may look one slug up with tenant_by_slug. It may not read the tables, so it cannot list the tenants.

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

-- Whoever caches tenants listens on the channel tenant_changes. The notification does not say which tenant changed, since
-- every role that may connect may listen, and the runtime role may not learn whom we serve.
-- +goose StatementBegin
create function control.notify_tenant_change() returns trigger language plpgsql set search_path = '' as $$
begin
    notify tenant_changes;
    return null;
end $$;
-- +goose StatementEnd
revoke all on function control.notify_tenant_change() from public;

create trigger tenant_changes after insert or update or delete on control.tenants
    for each statement execute function control.notify_tenant_change();

-- +goose Down
drop trigger tenant_changes on control.tenants;
drop function control.notify_tenant_change();
drop function control.configuration();
drop function control.tenant_by_slug(text);
drop table control.tenants;
drop table control.deployment;
