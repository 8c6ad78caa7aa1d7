-- What was entered in the ledger stays; a proposal is decided once, and nothing else of it changes.

CREATE FUNCTION evidence_refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what was entered stays, a correction is a new entry', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION evidence_decide_correction_once() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.decided_at IS NULL AND NEW.decided_at IS NOT NULL
       AND (OLD.id, OLD.slo, OLD.account, OLD.window_from, OLD.window_to, OLD.category, OLD.valid_delta, OLD.bad_delta,
            OLD.unknown_seconds_delta, OLD.reason, OLD.proposed_by, OLD.proposed_at, OLD.audit_number)
         = (NEW.id, NEW.slo, NEW.account, NEW.window_from, NEW.window_to, NEW.category, NEW.valid_delta, NEW.bad_delta,
            NEW.unknown_seconds_delta, NEW.reason, NEW.proposed_by, NEW.proposed_at, NEW.audit_number) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a proposed correction is decided once, and stays as it was proposed'
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER budget_entry_stays BEFORE UPDATE OR DELETE ON evidence_budgetentry
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_ledger_change();
CREATE TRIGGER correction_proposal_stays BEFORE DELETE ON evidence_correctionproposal
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_ledger_change();
CREATE TRIGGER correction_proposal_decided_once BEFORE UPDATE ON evidence_correctionproposal
    FOR EACH ROW EXECUTE FUNCTION evidence_decide_correction_once();

-- ALWAYS: in a session with session_replication_role = replica too
ALTER TABLE evidence_budgetentry ENABLE ALWAYS TRIGGER budget_entry_stays;
ALTER TABLE evidence_correctionproposal ENABLE ALWAYS TRIGGER correction_proposal_stays;
ALTER TABLE evidence_correctionproposal ENABLE ALWAYS TRIGGER correction_proposal_decided_once;
