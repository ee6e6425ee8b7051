-- The indexes of the list over all tenants, which only shared tables have. Only the owner uses them: for the runtime role
-- row-level security puts the tenant's equality first, and @@ is not leakproof.

-- additive: no
-- +goose Up
create index subtasks_all on subtasks (name, account_id, id) include (complete);
create index subtasks_words on subtasks using gin (to_tsvector('simple', name));

-- +goose Down
drop index subtasks_words;
drop index subtasks_all;
