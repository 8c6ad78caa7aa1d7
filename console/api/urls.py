"""The API's addresses, on the console's port."""

from django.urls import path

from console.api.evidence import ArtifactItem, ArtifactList
from console.api.gates import GateDecisions, GateItem, GateList, ModeItem

urlpatterns = [
    path("evidence/", ArtifactList.as_view(), name="evidence_list"),
    path("evidence/<str:sha256>", ArtifactItem.as_view(), name="evidence_item"),
    path("api/v1/gates/", GateList.as_view(), name="api_gates"),
    path("api/v1/gates/<slug:gate>", GateItem.as_view(), name="api_gate"),
    path("api/v1/gates/<slug:gate>/decisions", GateDecisions.as_view(), name="api_gate_decisions"),
    path("api/v1/mode", ModeItem.as_view(), name="api_mode"),
]
