"""Where we tell others something, and what is on its way there."""

from django.db import models


class Destination(models.Model):
    """An address of somebody else's. Its messages are signed with its own secret."""

    name = models.SlugField(max_length=64, unique=True)
    address = models.TextField(help_text="https://host/path: without user, query and fragment")
    secret_ciphertext = models.BinaryField(help_text="Sealed as the providers' secrets are")
    secret_fingerprint = models.CharField(max_length=16)
    tells_alerts = models.BooleanField(default=True)
    alert_kinds = models.JSONField(default=list, help_text="Only alerts of these kinds; empty: of every kind")
    forwards = models.BooleanField(default=False, help_text="Accepted events are forwarded to it")
    providers = models.JSONField(default=list, help_text="Only events of these providers; empty: of every provider")
    event_types = models.JSONField(default=list, help_text="Only events of these types; empty: of every type")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(help_text="Alerts opened before are not told")

    class Meta:
        ordering = ["name"]
        default_permissions = ("view",)
        permissions = [("manage_destination", "Can add, change, test and remove destinations")]

    def __str__(self) -> str:
        return f"destination {self.name}"


class Outgoing(models.Model):
    """One message to one destination. Of one ordering key the oldest waiting goes first; the number is the order."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        WITHHELD = "withheld", "withheld: the mode forbids external sends"
        DEAD = "dead"
        DISCARDED = "discarded"

    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="outgoing")
    message_id = models.CharField(max_length=64, help_text="The header webhook-id, the same at each attempt")
    alert = models.ForeignKey("evidence.Alert", null=True, on_delete=models.PROTECT, related_name="outgoing")
    event_id = models.UUIDField(null=True, help_text="An event's body is read at each attempt, and kept nowhere else")
    provider = models.CharField(max_length=64, blank=True, help_text="Of the event")
    ordering_key = models.TextField()
    body = models.TextField(blank=True, help_text="Of an alert: JSON, as it is sent at each attempt")
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    attempt_count = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(help_text="While an attempt is under way: when it counts as lost")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        default_permissions = ("view",)
        permissions = [("decide_outgoing", "Can retry, release and discard messages to destinations")]
        constraints = [models.UniqueConstraint(fields=["destination", "message_id"], name="outgoing_once")]
        indexes = [
            models.Index(
                fields=["destination", "ordering_key", "id"],
                name="outgoing_waiting",
                condition=models.Q(state="waiting"),
            ),
            models.Index(fields=["state", "destination", "settled_at"], name="outgoing_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} to {self.destination_id}: {self.state}"


class ForwardCursor(models.Model):
    """Up to here a lane's batches were looked through for a destination: what it is sent stands in Outgoing."""

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="cursors")
    lane = models.PositiveSmallIntegerField()
    batch_number = models.BigIntegerField(default=0)
    lane_seen_at = models.DateTimeField(null=True, help_text="Time of the lane's row when nothing was left of it")

    class Meta:
        ordering = ["lane"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["destination", "lane"], name="forward_cursor_once")]

    def __str__(self) -> str:
        return f"{self.destination_id} lane {self.lane}: batch {self.batch_number}"


class WithheldCount(models.Model):
    """How many messages the mode held back from a destination in an hour."""

    destination = models.ForeignKey(Destination, on_delete=models.PROTECT, related_name="withheld")
    hour = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-hour"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["destination", "hour"], name="withheld_once_an_hour")]

    def __str__(self) -> str:
        return f"{self.count} to {self.destination_id} at {self.hour:%Y-%m-%dT%H}"
