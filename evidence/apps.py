from typing import override

from django.apps import AppConfig

SEAL_EVERY_SECONDS = 2
PUBLISH_EVERY_SECONDS = 10
NOTE_LOGS_EVERY_SECONDS = 5
GROW_TILES_EVERY_SECONDS = 10
CHECK_PROMISES_EVERY_SECONDS = 5
START_BUNDLE_EVERY_SECONDS = 3
CHECK_GUARDRAILS_EVERY_SECONDS = 5


class EvidenceConfig(AppConfig):
    name = "evidence"

    @override
    def ready(self) -> None:
        from evidence import jobs
        from evidence.log.unsealed import sealed_through
        from ingestion.retention.bounds import age_only_what_is_sealed
        from ingestion.worker import PERIODIC

        PERIODIC[jobs.seal_logs] = SEAL_EVERY_SECONDS
        PERIODIC[jobs.publish_due] = PUBLISH_EVERY_SECONDS
        PERIODIC[jobs.note_logs] = NOTE_LOGS_EVERY_SECONDS
        PERIODIC[jobs.grow_tiles] = GROW_TILES_EVERY_SECONDS
        PERIODIC[jobs.check_promises] = CHECK_PROMISES_EVERY_SECONDS
        PERIODIC[jobs.start_bundle] = START_BUNDLE_EVERY_SECONDS
        PERIODIC[jobs.check_guardrails] = CHECK_GUARDRAILS_EVERY_SECONDS
        age_only_what_is_sealed(sealed_through)
