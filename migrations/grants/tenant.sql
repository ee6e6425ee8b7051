-- What the runtime role may do in one placement, and nothing more: no TRUNCATE, which row-level security
-- does not bind, and no DDL. The version table is readable, so that `serve` sees outdated tables.
-- Run after every migration, by the owner, with the placement as search_path.
grant usage on schema :"schema" to :"runtime";
revoke create on schema :"schema" from :"runtime";
revoke all on accounts, users, projects, tasks, subtasks, sessions, password_resets, api_tokens, sign_in_attempts, tenant_version
    from :"runtime", public;
grant select, insert, update, delete on accounts, users, projects, tasks, subtasks, sessions, password_resets, api_tokens, sign_in_attempts
    to :"runtime";
grant select on tenant_version to :"runtime";
revoke all on request_keys from :"runtime", public;
grant select, insert, update, delete on request_keys to :"runtime";
