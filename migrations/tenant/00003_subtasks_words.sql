-- The words of a subtask's name, so that a tenant's search does not split every name into words again. The tenant's rows are read
-- one by one: row-level security comes before a search, and so before an index on words. The table is rewritten, about ten seconds for
-- a million rows, and is locked meanwhile.

-- additive: yes
-- +goose Up
alter table subtasks add column words tsvector not null generated always as (to_tsvector('simple', name)) stored;

-- +goose Down
alter table subtasks drop column words;
