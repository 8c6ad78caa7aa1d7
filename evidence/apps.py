from django.apps import AppConfig


class EvidenceConfig(AppConfig):
    name = "evidence"

    def ready(self) -> None:
        from evidence import jobs
        from ingestion.worker import PERIODIC

        PERIODIC[jobs.check_promises] = CHECK_PROMISES_EVERY_SECONDS


CHECK_PROMISES_EVERY_SECONDS = 5
