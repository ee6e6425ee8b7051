-- Operators: who may look after the tenants on the web, at the bare domain. All of it is the owner's: the runtime role has no right on
-- any of these tables, so that whatever is wrong in a tenant's request, nobody signs in here by it.
--
-- What a session or a link is known by is stored as its SHA-256 only.

-- additive: yes
-- +goose Up
create table control.operators (
    name          text        not null check (name ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    password_hash text        not null,
    created_at    timestamptz not null default now(),
    primary key (name)
);

create table control.operator_sessions (
    token_hash bytea       not null,
    operator   text        not null references control.operators (name) on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    primary key (token_hash)
);
create index operator_sessions_operator on control.operator_sessions (operator);

-- How often a sign-in was tried, by a name or from an address, of which only a hash is kept.
create table control.operator_attempts (
    subject  bytea       not null,
    attempts int         not null,
    until    timestamptz not null, -- then they are forgotten
    primary key (subject)
);

-- Links by which an operator is signed in as a tenant's user, once. The operator is not a reference: where no operator signs in, as in
-- the demo, it is who runs the program.
create table control.sign_in_links (
    token_hash bytea       not null,
    operator   text        not null,
    tenant_id  bigint      not null references control.tenants (id) on delete cascade,
    user_id    bigint      not null, -- no reference: users are where the tenant's rows are
    reason     text        not null,
    expires_at timestamptz not null,
    primary key (token_hash)
);
create index sign_in_links_tenant on control.sign_in_links (tenant_id);

-- +goose Down
drop table control.sign_in_links, control.operator_attempts, control.operator_sessions, control.operators;
