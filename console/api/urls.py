"""The API's addresses, on the console's port."""

from django.urls import path

from console.api.evidence import ArtifactItem, ArtifactList

urlpatterns = [
    path("evidence/", ArtifactList.as_view(), name="evidence_list"),
    path("evidence/<str:sha256>", ArtifactItem.as_view(), name="evidence_item"),
]
