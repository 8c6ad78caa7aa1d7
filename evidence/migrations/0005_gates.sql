-- What was frozen, decided, approved and enabled stays as it is. Each row's act is in the audit log too, which is sealed.

CREATE FUNCTION evidence_refuse_decision_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what was decided stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER frozen_spec_stays BEFORE UPDATE OR DELETE ON evidence_frozenspec
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_decision_change();
CREATE TRIGGER decision_stays BEFORE UPDATE OR DELETE ON evidence_decision
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_decision_change();
CREATE TRIGGER approval_stays BEFORE UPDATE OR DELETE ON evidence_approval
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_decision_change();
CREATE TRIGGER mode_change_stays BEFORE UPDATE OR DELETE ON evidence_modechange
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_decision_change();

-- ALWAYS: in a session with session_replication_role = replica too
ALTER TABLE evidence_frozenspec ENABLE ALWAYS TRIGGER frozen_spec_stays;
ALTER TABLE evidence_decision ENABLE ALWAYS TRIGGER decision_stays;
ALTER TABLE evidence_approval ENABLE ALWAYS TRIGGER approval_stays;
ALTER TABLE evidence_modechange ENABLE ALWAYS TRIGGER mode_change_stays;
