import sys

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """The project itself, for its commands: up, ingress."""

    name = "autocom"

    def ready(self) -> None:
        from autocom.observability import start_logging, start_sentry, start_traces

        start_logging(sys.argv)
        start_sentry()
        start_traces(sys.argv)
