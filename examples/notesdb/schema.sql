-- A tenanted table, in the form that scopes/audit wants: a primary key that begins with the tenant, and one policy, a bare
-- equality on the tenant. The default gives a new row the tenant that the statement works for, so that no INSERT names it.
create table notes (
    org_id uuid not null default nullif(current_setting('app.tenant_id', true), '')::uuid,
    id     uuid not null default gen_random_uuid(),
    text   text not null check (text <> ''),
    primary key (org_id, id)
);
alter table notes enable row level security;
create policy tenant on notes using (org_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
