"""Seals: each growth of a log, with the checkpoint that was signed over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, override

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from console.admin.filters import ByColumn
from console.admin.read_only import KeysetAdmin
from console.shown import digest, folded, moment, mono
from evidence.log.names import LogName
from evidence.models import Seal


class LogFilter(ByColumn):
    title = "log"
    parameter_name = "log"
    column = "incarnation__log"

    @override
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name.value, name.value) for name in LogName]


@admin.register(Seal)
class SealAdmin(KeysetAdmin):
    empty_sentence = "Nothing has been sealed yet."
    list_display = ("id", "log", "number", "leaves", "tree_size", "root_start", "sealed")
    list_columns: ClassVar[Sequence[str]] = (
        *("number", "first_index", "tree_size", "root", "sealed_at"),
        *("incarnation__log", "incarnation__origin"),
    )
    list_select_related = ("incarnation",)
    list_filter = (LogFilter,)
    fieldsets = (
        (None, {"fields": ("log", "origin", "number", "leaves", "tree_size", "sealed")}),
        ("Proof", {"fields": ("root_hash", "segment", "segment_bytes", "before", "seal_file")}),
    )

    @admin.display(description="Log")
    def log(self, seal: Seal) -> str:
        return seal.incarnation.log

    @admin.display(description="Origin")
    def origin(self, seal: Seal) -> SafeString:
        return mono(seal.incarnation.origin)

    @admin.display(description="Leaves")
    def leaves(self, seal: Seal) -> SafeString:
        return mono(f"{seal.first_index:,} to {seal.tree_size - 1:,}")

    @admin.display(description="Root")
    def root_start(self, seal: Seal) -> SafeString:
        return mono(f"{bytes(seal.root).hex()[:16]}…")

    @admin.display(description="Sealed")
    def sealed(self, seal: Seal) -> SafeString | str:
        return moment(seal.sealed_at)

    @admin.display(description="Root (RFC 6962)")
    def root_hash(self, seal: Seal) -> SafeString | str:
        return digest(seal.root)

    @admin.display(description="SHA-256 of the segment")
    def segment(self, seal: Seal) -> SafeString | str:
        return digest(seal.segment_sha256)

    @admin.display(description="SHA-256 of the seal before")
    def before(self, seal: Seal) -> SafeString | str:
        return digest(seal.previous_sha256)

    @admin.display(description="Seal file")
    def seal_file(self, seal: Seal) -> SafeString | str:
        return folded("Show the file with its checkpoint", seal.text)
