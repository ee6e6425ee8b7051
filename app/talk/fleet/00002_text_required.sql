-- +goose Up
alter table notes alter column text set not null;
-- +goose Down
alter table notes alter column text drop not null;
