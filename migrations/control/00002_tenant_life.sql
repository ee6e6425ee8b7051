-- What a tenant's life needs beside its row in control.tenants: host names of its own, the slugs that it had, ids that are
-- given once, and the log of who did what to which tenant.

-- additive: yes
-- +goose Up
create table control.domains (
    domain     text        not null check (domain like '%_.%_' and domain = lower(domain) and length(domain) <= 253),
    tenant_id  bigint      not null references control.tenants (id) on delete cascade,
    created_at timestamptz not null default now(),
    primary key (domain)
);
create index domains_tenant on control.domains (tenant_id);

create table control.former_slugs (
    slug      text        not null,
    tenant_id bigint      not null references control.tenants (id) on delete cascade,
    until     timestamptz not null, -- when the slug stops leading to the tenant
    primary key (slug)
);
create index former_slugs_tenant on control.former_slugs (tenant_id);

-- A dropped tenant's id is not given again: some process may remember it. Up to a million, ids are the seed's.
create sequence control.tenant_ids as bigint minvalue 1000001 no cycle;
select setval('control.tenant_ids', greatest(max(id), 1000000) + 1, false) from control.tenants;

create table control.audit_log (
    id        bigint      not null generated always as identity,
    began_at  timestamptz not null default now(),
    ended_at  timestamptz,      -- null: under way, or interrupted
    operator  text        not null,
    action    text        not null,
    tenant_id bigint,           -- no reference: the log outlives the tenant
    slug      text        not null default '',
    detail    text        not null default '',
    error     text        not null default '',
    primary key (id)
);
create index audit_log_tenant on control.audit_log (tenant_id, id);

-- A tenant by its slug, by a host name of its own, or by a slug that it had.
-- +goose StatementBegin
create or replace function control.tenant_by_slug(wanted text)
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

create trigger domain_changes after insert or update or delete on control.domains
    for each statement execute function control.notify_tenant_change();
create trigger former_slug_changes after insert or update or delete on control.former_slugs
    for each statement execute function control.notify_tenant_change();

-- +goose Down
drop trigger former_slug_changes on control.former_slugs;
drop trigger domain_changes on control.domains;
-- +goose StatementBegin
create or replace function control.tenant_by_slug(wanted text)
    returns table (id bigint, slug text, name text, database text, schema text, state text)
    language sql stable security definer
    set search_path = ''
as $$ select t.id, t.slug, t.name, coalesce(t.database, current_database()::text), t.schema, t.state from control.tenants t where t.slug = wanted $$;
-- +goose StatementEnd
drop table control.audit_log;
drop sequence control.tenant_ids;
drop table control.former_slugs;
drop table control.domains;
