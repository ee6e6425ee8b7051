-- Tenants in shared tables, schemas and databases at once, and on several servers.

-- additive: no
-- +goose Up
alter table control.deployment drop constraint deployment_configuration_check;
alter table control.deployment add constraint deployment_configuration_check
    check (configuration in ('SingleSchema', 'MultipleDb', 'MultipleSchemas', 'Mixed'));

-- The server by the name that the settings have for it; null: the one of this database. A program that knows of no servers
-- would look for such a tenant here.
alter table control.tenants add column server text check (server ~ '^[a-z0-9]+$'),
    add constraint tenants_server_database check (server is null or database is not null);
drop index control.tenants_placement;
create unique index tenants_placement on control.tenants (coalesce(server, ''), coalesce(database, ''), schema)
    where database is not null or schema <> 'public';

drop function control.tenant_by_slug(text);
-- +goose StatementBegin
create function control.tenant_by_slug(wanted text)
    returns table (id bigint, slug text, name text, server text, database text, schema text, state text)
    language sql stable security definer
    set search_path = ''
as $$
    select t.id, t.slug, t.name, t.server, coalesce(t.database, current_database()::text), t.schema, t.state from control.tenants t
    where t.id = coalesce(
        (select s.id from control.tenants s where s.slug = wanted),
        (select d.tenant_id from control.domains d where d.domain = wanted),
        (select f.tenant_id from control.former_slugs f where f.slug = wanted and f.until > now()))
$$;
-- +goose StatementEnd
revoke all on function control.tenant_by_slug(text) from public;

-- +goose Down
-- +goose StatementBegin
do $$
begin
    if exists (select from control.tenants where server is not null) then
        raise exception 'there are tenants on other servers, which version 2 does not know';
    end if;
end $$;
-- +goose StatementEnd
drop function control.tenant_by_slug(text);
-- +goose StatementBegin
create function control.tenant_by_slug(wanted text)
    returns table (id bigint, slug text, name text, database text, schema text, state text)
    language sql stable security definer
    set search_path = ''
as $$
    select t.id, t.slug, t.name, coalesce(t.database, current_database()::text), t.schema, t.state from control.tenants t
    where t.id = coalesce(
        (select s.id from control.tenants s where s.slug = wanted),
        (select d.tenant_id from control.domains d where d.domain = wanted),
        (select f.tenant_id from control.former_slugs f where f.slug = wanted and f.until > now()))
$$;
-- +goose StatementEnd
revoke all on function control.tenant_by_slug(text) from public;
drop index control.tenants_placement;
alter table control.tenants drop column server;
create unique index tenants_placement on control.tenants (coalesce(database, ''), schema) where database is not null or schema <> 'public';
alter table control.deployment drop constraint deployment_configuration_check;
alter table control.deployment add constraint deployment_configuration_check
    check (configuration in ('SingleSchema', 'MultipleDb', 'MultipleSchemas'));
