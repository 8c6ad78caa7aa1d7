from typing import override

from django.apps import AppConfig

SEAL_EVERY_SECONDS = 2
START_BUNDLE_EVERY_SECONDS = 3


class EvidenceConfig(AppConfig):
    name = "evidence"

    @override
    def ready(self) -> None:
        from evidence import jobs
        from evidence.log.unsealed import sealed_through
        from ingestion.retention.bounds import age_only_what_is_sealed
        from ingestion.worker import PERIODIC

        PERIODIC[jobs.seal_logs] = SEAL_EVERY_SECONDS
        PERIODIC[jobs.start_bundle] = START_BUNDLE_EVERY_SECONDS
        age_only_what_is_sealed(sealed_through)
