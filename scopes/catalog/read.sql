with s as (
    select oid, nspname::text as schema, nspowner, nspacl from pg_namespace where nspname = any($1)
), extension as (
    select classid, objid from pg_depend where deptype = 'e'
), rel as (
    select s.schema, c.* from s join pg_class c on c.relnamespace = s.oid
    where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S') and (('pg_class'::regclass)::oid, c.oid) not in (select * from extension)
), fn as (
    select s.schema, p.*, format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as called from s join pg_proc p on p.pronamespace = s.oid
    where (('pg_proc'::regclass)::oid, p.oid) not in (select * from extension)
), kinds as (
    select s.schema, t.* from s join pg_type t on t.typnamespace = s.oid left join pg_class c on c.oid = t.typrelid
    where (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c') and (('pg_type'::regclass)::oid, t.oid) not in (select * from extension)
), granted as (
    select schema, 'schema' as on_kind, '' as on_name, nspowner as owner, coalesce(nspacl, acldefault('n', nspowner)) as acl from s
    union all
    select schema, case relkind when 'S' then 'sequence' else 'table' end, quote_ident(relname), relowner,
        coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)) from rel
    union all
    select schema, case prokind when 'p' then 'procedure' else 'function' end, called, proowner,
        coalesce(proacl, acldefault('f', proowner)) from fn
)
select schema, 'schema', '', '', array[pg_get_userbyid(nspowner)::text] from s
union all
select schema, 'table', '', relname::text, array[pg_get_userbyid(relowner)::text,
        case relpersistence when 'u' then 'unlogged ' when 't' then 'temporary ' else '' end ||
        case relkind when 'p' then 'partitioned table' when 'f' then 'foreign table' else 'table' end,
        relrowsecurity::text, relforcerowsecurity::text, coalesce(array_to_string(reloptions, ', '), ''),
        concat_ws(' ', pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid),
            (select 'of ' || string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno) from pg_inherits i where i.inhrelid = rel.oid))]
    from rel where relkind in ('r', 'p', 'f')
union all
select r.schema, 'column', r.relname::text, a.attname::text, array[format_type(a.atttypid, a.atttypmod),
        case when a.attcollation <> t.typcollation then format('%I.%I', n.nspname, l.collname) else '' end,
        a.attnotnull::text, coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity::text, a.attgenerated::text]
    from rel r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    left join pg_collation l on l.oid = a.attcollation left join pg_namespace n on n.oid = l.collnamespace
    where r.relkind in ('r', 'p', 'f')
union all
select r.schema, 'constraint', r.relname::text, c.conname::text, array[pg_get_constraintdef(c.oid)]
    from rel r join pg_constraint c on c.conrelid = r.oid where c.contype in ('p', 'u', 'f', 'c', 'x')
union all
select r.schema, 'index', r.relname::text, c.relname::text, array[pg_get_indexdef(i.indexrelid), case when i.indisvalid then 'valid' else 'invalid' end]
    from rel r join pg_index i on i.indrelid = r.oid join pg_class c on c.oid = i.indexrelid
    where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
union all
select r.schema, 'trigger', r.relname::text, t.tgname::text, array[pg_get_triggerdef(t.oid),
        case t.tgenabled when 'O' then 'enabled' when 'D' then 'disabled' when 'R' then 'enabled replica' else 'enabled always' end]
    from rel r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
union all
select r.schema, 'rule', r.relname::text, w.rulename::text, array[pg_get_ruledef(w.oid)]
    from rel r join pg_rewrite w on w.ev_class = r.oid where w.rulename <> '_RETURN'
union all
select r.schema, 'policy', r.relname::text, p.polname::text, array[
        case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
        case when p.polpermissive then 'permissive' else 'restrictive' end,
        (select string_agg(case when o = 0 then 'public' else quote_ident(pg_get_userbyid(o)) end, ', ' order by o) from unnest(p.polroles) o),
        coalesce(pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')]
    from rel r join pg_policy p on p.polrelid = r.oid
union all
select schema, 'view', '', relname::text, array[pg_get_userbyid(relowner)::text,
        case relkind when 'm' then 'materialized view' else 'view' end || ' as ' || pg_get_viewdef(oid), coalesce(array_to_string(reloptions, ', '), '')]
    from rel where relkind in ('v', 'm')
union all
select r.schema, 'sequence', '', r.relname::text, array[pg_get_userbyid(r.relowner)::text,
        format('as %s increment %s minvalue %s maxvalue %s start %s cache %s%s', format_type(q.seqtypid, null), q.seqincrement, q.seqmin, q.seqmax, q.seqstart,
            q.seqcache, case when q.seqcycle then ' cycle' else ' no cycle' end)]
    from rel r join pg_sequence q on q.seqrelid = r.oid
union all
select schema, 'function', '', called, array[pg_get_userbyid(proowner)::text, case prokind when 'a' then 'aggregate' else pg_get_functiondef(oid) end] from fn
union all
select schema, 'type', '', typname::text, array[pg_get_userbyid(typowner)::text, case typtype
        when 'e' then (select 'enum (' || string_agg(quote_literal(enumlabel), ', ' order by enumsortorder) || ')' from pg_enum where enumtypid = kinds.oid)
        when 'd' then concat_ws(' ', 'domain', format_type(typbasetype, typtypmod), case when typnotnull then 'not null' end, 'default ' || typdefault,
            (select string_agg(format('constraint %I %s', conname, pg_get_constraintdef(oid)), ' ' order by conname) from pg_constraint where contypid = kinds.oid))
        when 'r' then 'range of ' || (select format_type(rngsubtype, null) from pg_range where rngtypid = kinds.oid)
        else (select 'composite (' || string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum) || ')'
            from pg_attribute where attrelid = typrelid and attnum > 0 and not attisdropped) end]
    from kinds
union all
select s.schema, 'collation', '', c.collname::text, array[pg_get_userbyid(c.collowner)::text,
        (to_jsonb(c) - '{oid,collname,collnamespace,collowner,collversion}'::text[])::text]
    from s join pg_collation c on c.collnamespace = s.oid where (('pg_collation'::regclass)::oid, c.oid) not in (select * from extension)
union all
select s.schema, 'statistics', '', e.stxname::text, array[pg_get_statisticsobjdef(e.oid)] from s join pg_statistic_ext e on e.stxnamespace = s.oid
union all
select schema, 'right', on_kind || ' ' || on_name,
        format('%s to %s', lower(x.privilege_type), case when x.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end),
        array[bool_or(x.is_grantable)::text]
    from granted, aclexplode(acl) x where x.grantee <> owner group by 1, 3, 4
union all
select r.schema, 'right', format('column %I.%I', r.relname, a.attname),
        format('%s to %s', lower(x.privilege_type), case when x.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(x.grantee)) end),
        array[bool_or(x.is_grantable)::text]
    from rel r join pg_attribute a on a.attrelid = r.oid and not a.attisdropped, aclexplode(a.attacl) x where x.grantee <> r.relowner group by 1, 3, 4
