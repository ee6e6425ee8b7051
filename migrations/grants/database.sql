-- What holds for a whole database. Where the owner of the tables does not own the database, PostgreSQL
-- answers these with a warning and leaves things as they are.
--
-- TEMPORARY goes because a temporary table has no policy and outlives the transaction on a pooled
-- connection; CONNECT goes because no other role has business here.
grant connect on database :"database" to :"runtime";
revoke connect, temporary on database :"database" from public;
do $$
begin
    if exists (select from pg_namespace where nspname = 'public') then
        revoke create on schema public from public;
    end if;
end $$;
