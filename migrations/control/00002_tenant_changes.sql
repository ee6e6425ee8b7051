-- Whoever remembers a tenant hears of its change: NOTIFY on the channel tenant_changes, with the slug, old and new.

-- +goose Up
-- +goose StatementBegin
create function control.notify_tenant_change() returns trigger language plpgsql set search_path = '' as $$
begin
    if tg_op <> 'INSERT' then
        perform pg_notify('tenant_changes', old.slug);
    end if;
    if tg_op <> 'DELETE' then
        perform pg_notify('tenant_changes', new.slug);
    end if;
    return null;
end $$;
-- +goose StatementEnd
revoke all on function control.notify_tenant_change() from public;

create trigger tenant_changes after insert or update or delete on control.tenants
    for each row execute function control.notify_tenant_change();

-- +goose Down
drop trigger tenant_changes on control.tenants;
drop function control.notify_tenant_change();
