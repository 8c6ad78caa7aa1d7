-- What makes the log of seals append-only, for everybody but a superuser who takes it apart. Run by migration 0002.

CREATE FUNCTION evidence_refuse_log_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: what is sealed stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER incarnation_stays BEFORE UPDATE OR DELETE ON evidence_logincarnation
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER incarnations_stay BEFORE TRUNCATE ON evidence_logincarnation
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER seal_stays BEFORE UPDATE OR DELETE ON evidence_seal
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER seals_stay BEFORE TRUNCATE ON evidence_seal
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER sealed_batch_stays BEFORE UPDATE OR DELETE ON evidence_sealedbatch
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER sealed_batchs_stay BEFORE TRUNCATE ON evidence_sealedbatch
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER log_key_stays BEFORE UPDATE OR DELETE ON evidence_logkey
    FOR EACH ROW EXECUTE FUNCTION evidence_refuse_log_change();
CREATE TRIGGER log_keys_stay BEFORE TRUNCATE ON evidence_logkey
    FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse_log_change();

-- ALWAYS: in a session with session_replication_role = replica too
ALTER TABLE evidence_logincarnation ENABLE ALWAYS TRIGGER incarnation_stays;
ALTER TABLE evidence_logincarnation ENABLE ALWAYS TRIGGER incarnations_stay;
ALTER TABLE evidence_seal ENABLE ALWAYS TRIGGER seal_stays;
ALTER TABLE evidence_seal ENABLE ALWAYS TRIGGER seals_stay;
ALTER TABLE evidence_sealedbatch ENABLE ALWAYS TRIGGER sealed_batch_stays;
ALTER TABLE evidence_sealedbatch ENABLE ALWAYS TRIGGER sealed_batchs_stay;
ALTER TABLE evidence_logkey ENABLE ALWAYS TRIGGER log_key_stays;
ALTER TABLE evidence_logkey ENABLE ALWAYS TRIGGER log_keys_stay;
