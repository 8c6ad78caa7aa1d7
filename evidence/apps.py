from django.apps import AppConfig

PUBLISH_EVERY_SECONDS = 10


class EvidenceConfig(AppConfig):
    name = "evidence"

    def ready(self) -> None:
        from evidence import jobs
        from ingestion.worker import PERIODIC

        PERIODIC[jobs.publish_due] = PUBLISH_EVERY_SECONDS
