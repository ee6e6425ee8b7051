-- What the runtime role may do in the control plane: ask for one tenant by slug and for the configuration.
-- It may not read the directory, so that it cannot list whom we serve.
grant usage on schema :"schema" to :"runtime";
revoke create on schema :"schema" from :"runtime";
revoke all on deployment, tenants, domains, former_slugs, audit_log, migration_log, moves, atomic_migrations, placement_versions, tenant_ids,
    operators, operator_sessions, operator_attempts, sign_in_links, control_version from :"runtime", public;
grant select on control_version to :"runtime";
revoke all on function tenant_by_slug(text), identity(), fleet_versions() from public;
grant execute on function tenant_by_slug(text), identity(), fleet_versions() to :"runtime";
