-- What the list over all tenants needs for its order. It is made only where there is such a list: in the schema that
-- tenants share, which is the one beside the directory. A tenant's own database has no directory, and a tenant's own
-- schema is not called public.

-- +goose Up
-- +goose StatementBegin
do $$
begin
    if current_schema() = 'public' and to_regnamespace('control') is not null then
        create index subtasks_all on subtasks (name, account_id, id);
    end if;
end $$;
-- +goose StatementEnd

-- +goose Down
drop index if exists subtasks_all;
