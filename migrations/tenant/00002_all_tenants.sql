-- What the list over all tenants needs: its order, and search in the names of all subtasks, "contains", by trigrams.
--
-- Only the owner can use the second index, since under row-level security LIKE, which is not leakproof, looks at a
-- row after the policy has; for a tenant's own search the tenant's index narrows first. So these are made only
-- where there is a list over all tenants: in the schema that tenants share, which is the one beside the
-- directory. A tenant's own database has no directory, and a tenant's own schema is not called public.
--
-- Where the server lacks the extension (Debian: postgresql-contrib) or the owner may not create it, the
-- search works all the same, as slowly as reading every name. `create extension pg_trgm` and the index
-- below, by hand, mend that.

-- +goose Up
-- +goose StatementBegin
do $$
begin
    if current_schema() <> 'public' or to_regnamespace('control') is null then
        return;
    end if;
    create index subtasks_all on subtasks (name, account_id, id);
    begin
        create extension if not exists pg_trgm schema public;
        create index subtasks_name_trigrams on subtasks using gin (name public.gin_trgm_ops);
    exception when insufficient_privilege or undefined_file or feature_not_supported or undefined_object then
        raise notice 'search over all tenants has no index: %', sqlerrm;
    end;
end $$;
-- +goose StatementEnd

-- +goose Down
drop index if exists subtasks_name_trigrams, subtasks_all;
