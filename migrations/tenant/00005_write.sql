-- Work that people write: whom a subtask is assigned to, a version of each row that tells an edit of what has changed since, and the
-- keys of requests that created something, so that one that is sent twice creates it once.
--
-- The assignee's key contains the account, so that nobody of another one can be named.

-- additive: yes
-- +goose Up
alter table projects add column version integer not null default 1;
alter table tasks    add column version integer not null default 1;
alter table subtasks add column version integer not null default 1, add column assignee_id bigint,
    add foreign key (account_id, assignee_id) references users (account_id, id) on delete set null (assignee_id);

-- A user's subtasks by name. Those of nobody are not in it, so that most inserts do not pay for it.
create index subtasks_assignee on subtasks (account_id, assignee_id, name, id) include (complete) where assignee_id is not null;

create table request_keys (
    account_id bigint      not null,
    user_id    bigint      not null, -- who sent the request; 0: the command line
    key        bytea       not null, -- a hash of it
    content    bytea       not null, -- a hash of what was to be created
    row_id     bigint      not null, -- what was created
    created_at timestamptz not null default now(),
    primary key (account_id, user_id, key),
    foreign key (account_id) references accounts (id)
);
create index request_keys_age on request_keys (account_id, created_at);

alter table request_keys enable row level security;
create policy tenant on request_keys using (account_id = nullif(current_setting('app.tenant_id', true), '')::bigint);

-- +goose Down
drop table request_keys;
drop index subtasks_assignee;
alter table subtasks drop column assignee_id, drop column version;
alter table tasks    drop column version;
alter table projects drop column version;
