-- What the runtime role may do with what all tenants share: read the version.
revoke all on shared_version from :"runtime", public;
grant select on shared_version to :"runtime";
