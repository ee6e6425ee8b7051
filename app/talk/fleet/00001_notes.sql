-- +goose Up
create table notes (id bigint primary key, text text);
-- +goose Down
drop table notes;
