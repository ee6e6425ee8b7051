-- What the runtime role may do in the control schema of a tenant's database: see whose it is.
grant usage on schema :"schema" to :"runtime";
revoke create on schema :"schema" from :"runtime";
revoke all on placement, placement_version from :"runtime", public;
grant select on placement, placement_version to :"runtime";
