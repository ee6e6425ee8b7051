-- The fleet as a whole: what was decided about migrations that are atomic over several databases, and the version that each placement is
-- known to be at.

-- additive: yes
-- +goose Up
create table control.atomic_migrations (
    name       text        not null,
    operator   text        not null,
    began_at   timestamptz not null default now(),
    decision   text        check (decision in ('commit', 'rollback')), -- null: none yet
    decided_at timestamptz,
    ended_at   timestamptz,
    primary key (name)
);

-- As `migrate` has left or found it. The default server has no name here, and the default database none.
create table control.placement_versions (
    server     text        not null,
    database   text        not null,
    schema     text        not null,
    migrations text        not null, -- the set
    version    bigint      not null,
    seen_at    timestamptz not null default now(),
    primary key (server, database, schema, migrations)
);

-- Processes that serve look again at a placement whose version has changed. The notification says which one to those who know it, and
-- whom we serve to nobody.
-- +goose StatementBegin
create function control.notify_version_change() returns trigger language plpgsql set search_path = '' as $$
begin
    perform pg_notify('tenant_changes', 'version ' || md5(new.server || '/' || new.database || '.' || new.schema));
    return null;
end $$;
-- +goose StatementEnd
revoke all on function control.notify_version_change() from public;

create trigger version_changes after insert or update of version on control.placement_versions
    for each row execute function control.notify_version_change();

-- How many placements are at which version. It names none.
-- +goose StatementBegin
create function control.fleet_versions()
    returns table (migrations text, version bigint, placements bigint)
    language sql stable security definer
    set search_path = ''
as $$
    select v.migrations, v.version, count(*) from control.placement_versions v
    where v.database = '' and v.schema = 'public' or exists (
        select from control.tenants t where coalesce(t.server, '') = v.server and coalesce(t.database, '') = v.database and t.schema = v.schema
            and t.state <> 'dropping')
    group by v.migrations, v.version
$$;
-- +goose StatementEnd
revoke all on function control.fleet_versions() from public;

-- +goose Down
drop function control.fleet_versions();
drop table control.placement_versions;
drop function control.notify_version_change();
drop table control.atomic_migrations;
