-- The second layer around the audit log and the log of seals: run once by a superuser, after `manage.py migrate`, with
-- psql:
--     psql -v ON_ERROR_STOP=1 -f deploy/audit-protections.sql DATABASE
--     psql -c "SELECT audit_guard.protect('ROLE OF THE APPLICATION')" DATABASE
-- Afterwards the application's role may read and append, and no more: the tables and their trigger functions belong to
-- audit_owner, which nobody can log in as, and an event trigger refuses every statement that would change their
-- definition, whoever runs it, GRANT and CREATE RULE included. A superuser can still take it apart (ALTER EVENT TRIGGER
-- audit_guard DISABLE, then the triggers); what is changed then is found by `manage.py audit verify`.
-- To change the definition on purpose: disable the event trigger, migrate, run protect() again.
BEGIN;

CREATE SCHEMA IF NOT EXISTS audit_guard;
REVOKE ALL ON SCHEMA audit_guard FROM PUBLIC;
CREATE TABLE IF NOT EXISTS audit_guard.definition (table_id oid PRIMARY KEY, text text NOT NULL);

-- everything that says what one table does: a state, not a list of statements, so that no statement is forgotten
CREATE OR REPLACE FUNCTION audit_guard.definition_of(wanted oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT concat_ws(E'\n',
        (SELECT concat_ws(' ', relname, relnamespace::regnamespace, relkind, relpersistence, relowner::regrole,
                          relrowsecurity, relforcerowsecurity, relispartition, relacl::text)
         FROM pg_class WHERE oid = wanted),
        (SELECT string_agg(concat_ws(' ', attnum, attname, atttypid::regtype, attnotnull, attisdropped, attgenerated,
                                     attacl::text), E'\n' ORDER BY attnum)
         FROM pg_attribute WHERE attrelid = wanted AND attnum > 0),
        (SELECT string_agg(concat_ws(' ', conname, convalidated, pg_get_constraintdef(oid)), E'\n' ORDER BY conname)
         FROM pg_constraint WHERE conrelid = wanted),
        (SELECT string_agg(concat_ws(' ', tgname, tgenabled, pg_get_triggerdef(t.oid), tgfoid, proname,
                                     pronamespace::regnamespace, proowner::regrole, prosecdef, proconfig::text,
                                     proacl::text, prosrc), E'\n' ORDER BY tgname)
         FROM pg_trigger t JOIN pg_proc p ON p.oid = tgfoid WHERE tgrelid = wanted),
        (SELECT string_agg(concat_ws(' ', rulename, ev_enabled, pg_get_ruledef(oid)), E'\n' ORDER BY rulename)
         FROM pg_rewrite WHERE ev_class = wanted),
        (SELECT string_agg(concat_ws(' ', polname, polcmd, polpermissive), E'\n' ORDER BY polname)
         FROM pg_policy WHERE polrelid = wanted),
        (SELECT string_agg(inhrelid::text, ' ' ORDER BY inhrelid) FROM pg_inherits WHERE inhparent = wanted))
$$;

CREATE OR REPLACE FUNCTION audit_guard.refuse() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM audit_guard.definition d WHERE d.text IS DISTINCT FROM audit_guard.definition_of(d.table_id))
    THEN
        RAISE EXCEPTION '% is refused: it changes the definition of the audit log', tg_tag
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION audit_guard.protect(application name, in_schema name DEFAULT 'public') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names constant text[] := ARRAY['auditentry', 'audithead', 'logincarnation', 'seal', 'sealedbatch', 'logkey'];
    head oid := to_regclass(format('%I.evidence_audithead', in_schema));
    tables oid[];
    table_id oid;
    function_id oid;
BEGIN
    SELECT array_agg(to_regclass(format('%I.evidence_%s', in_schema, each))::oid) INTO tables FROM unnest(names) each;
    IF array_position(tables, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'no audit log, or no log of seals, is in the schema %: run `manage.py migrate` first', in_schema;
    END IF;
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = application) IS NOT FALSE THEN
        RAISE EXCEPTION '% is a superuser or no role: name the role that the application logs in as', application;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'audit_owner') THEN
        CREATE ROLE audit_owner NOLOGIN;
    END IF;
    FOREACH table_id IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO audit_owner', table_id::regclass);
    END LOOP;
    FOR function_id IN SELECT DISTINCT tgfoid FROM pg_trigger WHERE tgrelid = ANY (tables) AND NOT tgisinternal LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO audit_owner', function_id::regprocedure);
    END LOOP;
    FOREACH table_id IN ARRAY tables LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, audit_owner, %I', table_id::regclass, application);
        EXECUTE format('GRANT SELECT, INSERT ON %s TO %I', table_id::regclass, application);
    END LOOP;
    EXECUTE format('REVOKE INSERT ON %s FROM %I', head::regclass, application);
    EXECUTE format('GRANT UPDATE (number, entry_sha256) ON %s TO %I', head::regclass, application);
    DELETE FROM audit_guard.definition;
    INSERT INTO audit_guard.definition SELECT each, audit_guard.definition_of(each) FROM unnest(tables) each;
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'audit_guard') THEN
        CREATE EVENT TRIGGER audit_guard ON ddl_command_end EXECUTE FUNCTION audit_guard.refuse();
    END IF;
    ALTER EVENT TRIGGER audit_guard ENABLE ALWAYS;
END $$;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit_guard FROM PUBLIC;

COMMIT;
