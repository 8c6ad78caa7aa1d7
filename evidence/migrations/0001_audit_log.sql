-- What makes the audit log append-only, for everybody but a superuser who takes it apart. Run by migration 0001.

INSERT INTO evidence_audithead (id, number, entry_sha256) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION evidence_refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the audit log is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- tables are named with their schema: a temporary table of the same name must not answer for them
CREATE FUNCTION evidence_audit_append() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE moved bigint;
BEGIN
    EXECUTE format('UPDATE %I.evidence_audithead SET number = $1, entry_sha256 = $2
                    WHERE number = $1 - 1 AND entry_sha256 = $3', TG_TABLE_SCHEMA)
        USING NEW.number, NEW.entry_sha256, NEW.previous_sha256;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> 1 THEN
        RAISE EXCEPTION 'audit entry % does not follow the head of the log', NEW.number
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION evidence_audit_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE stands boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.evidence_auditentry
                    WHERE number = $1 AND entry_sha256 = $2 AND previous_sha256 = $3)', TG_TABLE_SCHEMA)
        INTO stands USING NEW.number, NEW.entry_sha256, OLD.entry_sha256;
    IF NEW.id <> OLD.id OR NEW.number <> OLD.number + 1 OR NOT stands THEN
        RAISE EXCEPTION 'the head of the audit log moves only with a new entry, from % to %', OLD.number, OLD.number + 1
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON evidence_auditentry
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_change();
CREATE TRIGGER audit_entries_stay BEFORE TRUNCATE ON evidence_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse_change();
CREATE TRIGGER audit_entry_follows AFTER INSERT ON evidence_auditentry
    FOR EACH ROW EXECUTE FUNCTION evidence_audit_append();
CREATE TRIGGER audit_head_follows BEFORE UPDATE ON evidence_audithead
    FOR EACH ROW EXECUTE FUNCTION evidence_audit_head();
CREATE TRIGGER audit_head_stays BEFORE DELETE ON evidence_audithead
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_change();
CREATE TRIGGER audit_head_remains BEFORE TRUNCATE ON evidence_audithead
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse_change();

-- ALWAYS: in a session with session_replication_role = replica too
ALTER TABLE evidence_auditentry ENABLE ALWAYS TRIGGER audit_entry_stays;
ALTER TABLE evidence_auditentry ENABLE ALWAYS TRIGGER audit_entries_stay;
ALTER TABLE evidence_auditentry ENABLE ALWAYS TRIGGER audit_entry_follows;
ALTER TABLE evidence_audithead ENABLE ALWAYS TRIGGER audit_head_follows;
ALTER TABLE evidence_audithead ENABLE ALWAYS TRIGGER audit_head_stays;
ALTER TABLE evidence_audithead ENABLE ALWAYS TRIGGER audit_head_remains;
