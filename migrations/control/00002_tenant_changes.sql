-- Whoever remembers tenants hears that one changed: NOTIFY on the channel tenant_changes. It does not say which, since
-- every role that may connect may listen, and the runtime role may not learn whom we serve.

-- +goose Up
-- +goose StatementBegin
create function control.notify_tenant_change() returns trigger language plpgsql set search_path = '' as $$
begin
    notify tenant_changes;
    return null;
end $$;
-- +goose StatementEnd
revoke all on function control.notify_tenant_change() from public;

create trigger tenant_changes after insert or update or delete on control.tenants
    for each statement execute function control.notify_tenant_change();

-- +goose Down
drop trigger tenant_changes on control.tenants;
drop function control.notify_tenant_change();
