"""All that the ingress serves."""

from django.urls import path

from autocom import health
from ingestion.receive import ReceiveDelivery

receive = ReceiveDelivery.as_view()

urlpatterns = [
    path("webhooks/<str:provider>", receive),
    path("webhooks", receive),
    path("webhooks/", receive),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.metrics),
]
