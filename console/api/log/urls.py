"""Everything below `/log/`. With a log's life in the address an answer never changes; without, it is the current's."""

from __future__ import annotations

from django.urls import path, re_path

from console.api.log.checkpoints import checkpoint, checkpoint_of_size, consistency, seal, segment, start
from console.api.log.cosignatures import cosignatures
from console.api.log.index import index, keys
from console.api.log.problems import unknown_address
from console.api.log.tiles import tile_or_entries

RESOURCES = (
    ("checkpoint", checkpoint),
    ("checkpoint/<str:size>", checkpoint_of_size),
    ("start", start),
    ("consistency", consistency),
    ("seals/<str:number>.txt", seal),
    ("segments/<str:number>.txt", segment),
    ("tile/<path:address>", tile_or_entries),
)

urlpatterns = [
    path("", index, name="log_index"),
    path("keys", keys, name="log_keys"),
    path("<str:log>/cosignatures", cosignatures, name="log_cosignatures"),
    *(path(f"<str:log>/{resource}", view) for resource, view in RESOURCES),
    *(path(f"<str:log>/<str:token>/{resource}", view) for resource, view in RESOURCES),
    re_path("", unknown_address),
]
