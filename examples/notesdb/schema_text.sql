-- The same table for tenants whose ids are texts.
create table notes (
    org_id text not null default nullif(current_setting('app.tenant_id', true), ''),
    id     uuid not null default gen_random_uuid(),
    text   text not null check (text <> ''),
    primary key (org_id, id)
);
alter table notes enable row level security;
create policy tenant on notes using (org_id = nullif(current_setting('app.tenant_id', true), ''));
