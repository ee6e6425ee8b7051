-- The index on words is on the column of tenant/00003. An older program would search without an index.

-- additive: no
-- +goose Up
drop index subtasks_words;
create index subtasks_words on subtasks using gin (words);

-- +goose Down
drop index subtasks_words;
create index subtasks_words on subtasks using gin (to_tsvector('simple', name));
