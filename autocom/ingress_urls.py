"""All that the ingress serves."""

from django.http import HttpRequest
from django.urls import path

from autocom import health
from ingestion.problems import Problem, problem_reply
from ingestion.receive import ReceiveDelivery, ReplyResponse

receive = ReceiveDelivery.as_view()

urlpatterns = [
    path("webhooks/<str:provider>", receive),
    path("webhooks", receive),
    path("webhooks/", receive),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]


def not_found(request: HttpRequest, exception: Exception) -> ReplyResponse:  # noqa: ARG001  (Django's signature)
    """Django's own page would load and render templates: tens of milliseconds that every ack behind it would wait."""
    return ReplyResponse(problem_reply(Problem.NOT_FOUND))


handler404 = "autocom.ingress_urls.not_found"
