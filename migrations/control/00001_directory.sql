-- The control plane: the directory of tenants with the placement of each, and the configuration that this database
-- was set up for. It is in the default database only.
--
-- The runtime role may look one slug up with tenant_by_slug. It may not read the tables, so it cannot list the tenants.

-- additive: no
-- +goose Up
-- A deployment is this database with the tenants' databases that it made. made_in says which database of which cluster it
-- was made in: in a copy it is another one. (A rename changes neither.)
create table control.deployment (
    id            uuid    not null default gen_random_uuid(),
    configuration text    not null check (configuration in ('SingleSchema', 'MultipleDb', 'MultipleSchemas')),
    made_in       text    not null,
    successor_of  uuid,   -- the deployment whose databases this one takes, since it was restored from its backup
    only_row      boolean not null default true check (only_row),
    primary key (only_row)
);

-- The order of names, as in migrations/tenant.
-- +goose StatementBegin
do $$
begin
    if exists (select from pg_collation where collname = 'und-x-icu') then
        create collation control.names (provider = icu, locale = 'und-u-kn-true');
    else
        execute (select format('create collation control.names (lc_collate = %L, lc_ctype = %L)', datcollate, datctype)
            from pg_database where datname = current_database());
    end if;
end $$;
-- +goose StatementEnd

create table control.tenants (
    id         bigint      not null check (id > 0),
    slug       text        not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name       text        not null,
    database   text,                -- null: this database, whatever it is called
    schema     text        not null,
    state      text        not null default 'creating' check (state in ('creating', 'active', 'suspended', 'dropping')),
    created_at timestamptz not null default now(),
    primary key (id),
    unique (slug)
);
-- No two tenants share a placement, but for the shared tables of this database.
create unique index tenants_placement on control.tenants (coalesce(database, ''), schema) where database is not null or schema <> 'public';

-- +goose StatementBegin
create function control.tenant_by_slug(wanted text)
    returns table (id bigint, slug text, name text, database text, schema text, state text)
    language sql stable security definer
    set search_path = ''
as $$ select t.id, t.slug, t.name, coalesce(t.database, current_database()::text), t.schema, t.state from control.tenants t where t.slug = wanted $$;
-- +goose StatementEnd
revoke all on function control.tenant_by_slug(text) from public;

-- +goose StatementBegin
create function control.identity()
    returns table (id uuid, configuration text, made_in text)
    language sql stable security definer
    set search_path = ''
as $$ select d.id, d.configuration, d.made_in from control.deployment d $$;
-- +goose StatementEnd
revoke all on function control.identity() from public;

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
drop function control.identity();
drop function control.tenant_by_slug(text);
drop table control.tenants;
drop collation control.names;
drop table control.deployment;
