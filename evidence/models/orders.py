"""Long work that somebody asked for. A process of its own does it, so that no page and no other job waits."""

from django.db import models
from django.db.models import Q, Value

from evidence.models.proof import Bundle

OPEN_STATES = ("waiting", "running")
IS_OPEN = Q(state__in=OPEN_STATES)


class WorkOrder(models.Model):
    """What was asked, by whom, and how far it is. `evidence.orders` starts, watches, stops and buries it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"
        DIED = "died"

    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    step = models.TextField(blank=True, help_text="What its process does now")
    why = models.TextField(blank=True, help_text="It was not done")
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="The last word of its process")
    settled_at = models.DateTimeField(null=True)
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_asked_by = models.TextField(blank=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class BundleOrder(WorkOrder):
    """Somebody asked for a bundle."""

    run_id = models.CharField(max_length=64)
    gate = models.CharField(max_length=64)
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, null=True, related_name="orders")

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        indexes = [models.Index(fields=["id"], name="bundle_order_open", condition=IS_OPEN)]

    def __str__(self) -> str:
        return f"{self.gate} {self.run_id}: {self.state}"


class ReplayOrder(WorkOrder):
    """Somebody asked for a replay run. At most one is open: two at once would spoil each other's figures."""

    run_id = models.CharField(max_length=64, unique=True)
    reason = models.TextField()
    count = models.PositiveIntegerField(help_text="Sends, deliberate duplicates included")
    rate = models.PositiveIntegerField(help_text="Sends a second")
    keys = models.PositiveIntegerField()
    duplicates_percent = models.PositiveSmallIntegerField()
    seed = models.BigIntegerField()
    provider = models.CharField(max_length=64)
    gate = models.CharField(max_length=64)
    sent_count = models.PositiveIntegerField(default=0)
    acked_count = models.PositiveIntegerField(default=0)
    rejected_count = models.PositiveIntegerField(default=0)
    retried_count = models.PositiveIntegerField(default=0)
    committed_count = models.PositiveIntegerField(null=True, help_text="Rows of the run in PostgreSQL; null: not known")
    p95_us = models.BigIntegerField(null=True, help_text="Of the acks so far")

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        permissions = [("start_replay", "Can start and cancel replay runs")]
        constraints = [models.UniqueConstraint(Value(1), name="replay_order_one_open", condition=IS_OPEN)]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.state}"


class SetAsideOrder(WorkOrder):
    """Somebody asked to retry or to discard more letters than one act takes. Which ones is fixed when it is asked."""

    place = models.CharField(max_length=16, help_text="dead_letter or quarantine")
    verb = models.CharField(max_length=16, help_text="retry or discard")
    reason = models.TextField(blank=True)
    chosen = models.TextField(blank=True, help_text="The list's filter, as its address has it")
    event_ids = models.BinaryField(help_text="16 bytes each, the oldest first")
    ids_sha256 = models.CharField(max_length=64, db_index=True)
    count = models.PositiveIntegerField()
    position = models.PositiveIntegerField(
        default=0, help_text="How many have had their turn; written in the transaction that they had it in"
    )
    done_count = models.PositiveIntegerField(default=0, help_text="Sent back, or discarded")
    refused_count = models.PositiveIntegerField(default=0, help_text="Left as they were")
    stored_count = models.PositiveIntegerField(default=0, help_text="Of those sent back: stored now")
    reopened_count = models.PositiveIntegerField(
        default=0, help_text="Of those sent back: failed once more, open again"
    )
    rest_of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="rests")

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        indexes = [
            models.Index(fields=["id"], name="set_aside_order_open", condition=IS_OPEN),
            models.Index(fields=["place", "-id"], name="set_aside_order_place"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} of {self.count} {self.place}: {self.state}"


class VerificationOrder(WorkOrder):
    """Somebody asked to verify what is too much for a page. `bundle` null: the audit log."""

    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, null=True, related_name="verifications")
    total_count = models.BigIntegerField(help_text="Entries of the audit log, or bytes of the archive and its files")
    checked_count = models.BigIntegerField(default=0)
    outcome = models.CharField(max_length=16, blank=True, help_text="PASS, FAIL or INCONCLUSIVE")
    finding_count = models.PositiveIntegerField(null=True)
    findings = models.JSONField(default=list, help_text="The first ones, as sentences")
    told = models.JSONField(default=dict, help_text="What else is known: the head, what could not be checked")

    class Meta:
        ordering = ["-id"]
        default_permissions = ()
        indexes = [models.Index(fields=["id"], name="verification_order_open", condition=IS_OPEN)]

    def __str__(self) -> str:
        return f"verification {self.pk}: {self.state}"
