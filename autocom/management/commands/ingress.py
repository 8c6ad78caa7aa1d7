from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from granian.constants import Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from autocom.observability import GRANIAN_LOGS
from ingestion.buffer.store import BufferUnavailable, LaneCountChanged, lane_buffer

HEADER_READ_TIMEOUT_MS = 10_000


class Command(BaseCommand):
    help = "Serve POST /webhooks/<provider>, /healthz, /readyz and /metrics, and nothing else, on INGRESS_PORT."
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        environment = settings.AUTOCOM
        try:
            lane_buffer().settle_lane_count(environment.lanes)
        except LaneCountChanged as error:
            raise CommandError(str(error)) from None
        except BufferUnavailable as error:
            raise CommandError(
                f"Redis cannot be asked ({error}): check REDIS_URL, or start it with `manage.py up`"
            ) from None
        if settings.MIDDLEWARE:
            raise CommandError(
                "start it as `manage.py ingress`: the ingress has settings of its own from the first moment"
            )
        Server(
            "autocom.ingress.rsgi:app",
            address=environment.ingress_host,
            port=environment.ingress_port,
            interface=Interfaces.RSGI,
            workers=environment.ingress_workers,
            loop=Loops.uvloop,
            websockets=False,
            log_level=LogLevels.warning,
            log_dictconfig=GRANIAN_LOGS,
            respawn_failed_workers=True,
            respawn_interval=0.5,
            workers_kill_timeout=10,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_READ_TIMEOUT_MS),
        ).serve()
