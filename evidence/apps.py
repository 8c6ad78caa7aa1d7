from typing import override

from django.apps import AppConfig

SEAL_EVERY_SECONDS = 2
PUBLISH_EVERY_SECONDS = 10
NOTIFY_EVERY_SECONDS = 5
NOTE_LOGS_EVERY_SECONDS = 5
GROW_TILES_EVERY_SECONDS = 10
CHECK_PROMISES_EVERY_SECONDS = 5
START_BUNDLE_EVERY_SECONDS = 3
START_REPLAY_EVERY_SECONDS = 2
CHECK_GUARDRAILS_EVERY_SECONDS = 5
ENTER_BUDGET_EVERY_SECONDS = 300
WATCH_BURN_EVERY_SECONDS = 15
FETCH_CERTIFICATES_EVERY_SECONDS = 30


class EvidenceConfig(AppConfig):
    name = "evidence"

    @override
    def ready(self) -> None:
        from evidence import jobs
        from evidence.log.unsealed import sealed_through
        from evidence.outgoing.purge import old_messages
        from ingestion.retention.bounds import age_only_what_is_sealed
        from ingestion.retention.others import purge_also
        from ingestion.worker import PERIODIC

        PERIODIC[jobs.seal_logs] = SEAL_EVERY_SECONDS
        PERIODIC[jobs.publish_due] = PUBLISH_EVERY_SECONDS
        PERIODIC[jobs.notify_due] = NOTIFY_EVERY_SECONDS
        PERIODIC[jobs.note_logs] = NOTE_LOGS_EVERY_SECONDS
        PERIODIC[jobs.grow_tiles] = GROW_TILES_EVERY_SECONDS
        PERIODIC[jobs.check_promises] = CHECK_PROMISES_EVERY_SECONDS
        PERIODIC[jobs.start_bundle] = START_BUNDLE_EVERY_SECONDS
        PERIODIC[jobs.start_replay] = START_REPLAY_EVERY_SECONDS
        PERIODIC[jobs.check_guardrails] = CHECK_GUARDRAILS_EVERY_SECONDS
        PERIODIC[jobs.enter_budget] = ENTER_BUDGET_EVERY_SECONDS
        PERIODIC[jobs.watch_burn] = WATCH_BURN_EVERY_SECONDS
        PERIODIC[jobs.fetch_certificates] = FETCH_CERTIFICATES_EVERY_SECONDS
        age_only_what_is_sealed(sealed_through)
        purge_also(old_messages)
