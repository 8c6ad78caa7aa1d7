from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from autocom.build import build
from autocom.ingress.server import Ingress
from ingestion.buffer.store import BufferUnavailable, LaneCountChanged, lane_buffer
from ingestion.management.with_examples import WithExamples


class Command(WithExamples):
    help = (
        "Serve POST /webhooks/<provider>, /healthz, /readyz and /metrics, and nothing else, on INGRESS_PORT. "
        "Exit 0: stopped by SIGTERM or Ctrl-C. 1: it cannot start, and why. 2: a setting is wrong."
    )
    examples = ("ingress",)
    requires_system_checks = ()

    def handle(self, **_: Any) -> None:
        environment = settings.AUTOCOM
        if settings.MIDDLEWARE:
            raise CommandError("start it as `manage.py ingress`: the ingress has settings of its own from the start")
        try:
            lane_buffer().settle_lane_count(environment.lanes)
        except LaneCountChanged as error:
            raise CommandError(str(error)) from None
        except BufferUnavailable as error:
            raise CommandError(
                f"Redis cannot be asked ({error}): check REDIS_URL, or start it with `manage.py up`"
            ) from None
        build()  # of the code that was loaded, whatever is deployed beside it later
        lane_buffer().client.close()  # the workers open connections of their own
        try:
            Ingress(
                host=environment.ingress_host, port=environment.ingress_port, worker_count=environment.ingress_workers
            ).run()
        except OSError as error:
            raise CommandError(f"INGRESS_PORT {environment.ingress_port} cannot be listened on: {error}") from None
