from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps  # the class by name would become a candidate for the app "console"

START_PROBE_EVERY_SECONDS = 3
START_LETTERS_EVERY_SECONDS = 2
START_VERIFICATION_EVERY_SECONDS = 3


class ConsoleAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site instead of its own."""

    default = False  # the entry "console" means ConsoleConfig
    default_site = "console.site.ConsoleSite"


class ConsoleConfig(AppConfig):
    name = "console"
    default = True

    def ready(self) -> None:
        from console import jobs, sessions
        from console.rbac import checks  # noqa: F401  (registers itself)
        from ingestion.worker import PERIODIC

        sessions.connect()
        PERIODIC[jobs.start_letters] = START_LETTERS_EVERY_SECONDS
        PERIODIC[jobs.start_verification] = START_VERIFICATION_EVERY_SECONDS
        PERIODIC[jobs.start_probe] = START_PROBE_EVERY_SECONDS
