-- The list by name reads whether a subtask is done from the index too, so that a page of the open ones, or of the done ones, does not
-- look up in the table each row that it leaves out. Updates of "complete" write all of the table's indexes anyway.
--
-- The new index is built before the old one is dropped: reads go on meanwhile.

-- additive: yes
-- +goose Up
create index subtasks_name_complete on subtasks (account_id, name, id) include (complete);
drop index subtasks_name;
alter index subtasks_name_complete rename to subtasks_name;

-- +goose Down
create index subtasks_name_alone on subtasks (account_id, name, id);
drop index subtasks_name;
alter index subtasks_name_alone rename to subtasks_name;
