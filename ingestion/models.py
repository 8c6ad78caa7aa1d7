"""The tables of ingestion.

Events, deliveries and batches are written by `commit` alone and never changed by it afterwards.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from ingestion.fields import RawJSONField

MINUTE, HOUR = "minute", "hour"  # in place of a process: figures of all processes over that time
NOT_ROLLED_UP = ~Q(process__in=[MINUTE, HOUR])


class Provider(models.Model):
    """Who sends. The row with the name `default` is made from the environment's secrets."""

    name = models.SlugField(max_length=64, unique=True)
    scheme = models.CharField(max_length=32, help_text="The adapter that verifies and identifies, e.g. generic")
    enabled = models.BooleanField(default=True)
    options = models.JSONField(default=dict, blank=True, help_text="Settings of the adapter, such as header names")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ProviderSecret(models.Model):
    """One secret of a provider. Several may be valid at once, so that a rotation overlaps."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="secrets")
    ciphertext = models.BinaryField(editable=False)
    fingerprint = models.CharField(max_length=8, editable=False, help_text="Tells secrets apart without showing them")
    not_before = models.DateTimeField(db_default=Now())
    not_after = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-not_before", "-pk"]
        constraints = [models.UniqueConstraint(fields=["provider", "fingerprint"], name="provider_fingerprint_once")]

    def __str__(self) -> str:
        return f"{self.provider.name} …{self.fingerprint}"


class ProviderCertificate(models.Model):
    """A certificate, public and imported by an operator, that verifies what a provider signs."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="certificates")
    file_name = models.CharField(max_length=160, help_text="The last part of the URL that messages name it by")
    pem = models.TextField()
    sha256 = models.CharField(max_length=64)
    subject = models.CharField(max_length=255)
    not_before = models.DateTimeField()
    not_after = models.DateTimeField()
    imported_at = models.DateTimeField()

    class Meta:
        ordering = ["-not_after"]
        constraints = [models.UniqueConstraint(fields=["provider", "sha256"], name="provider_certificate_once")]

    def __str__(self) -> str:
        return f"{self.provider.name} {self.file_name}"


class WantedCertificate(models.Model):
    """A certificate that messages name and nobody has imported: they were refused, and their sender tries again."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="wanted_certificates")
    url = models.CharField(max_length=300)
    count = models.PositiveIntegerField(help_text="How many messages were refused for it")
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_seen_at"]
        constraints = [models.UniqueConstraint(fields=["provider", "url"], name="wanted_certificate_once")]

    def __str__(self) -> str:
        return f"{self.provider.name} {self.url}"


class Lane(models.Model):
    """The committed end of one ordered stream.

    `epoch` names the Redis data it counts in; a lost Redis starts a new one.
    """

    number = models.PositiveSmallIntegerField(primary_key=True)
    epoch = models.BigIntegerField(default=0)
    cursor = models.BigIntegerField(default=0, help_text="Sequence of the last entry that is settled")
    fence = models.BigIntegerField(default=0, help_text="The newest lease that committed; an older one is refused")
    updated_at = models.DateTimeField(auto_now=True)
    paused_at = models.DateTimeField(
        null=True, editable=False, help_text="Since then nothing of the lane is committed: a person paused it"
    )
    pause_reason = models.TextField(default="", db_default="", editable=False)
    paused_by = models.CharField(max_length=160, default="", db_default="", editable=False)

    class Meta:
        ordering = ["number"]
        permissions = [("operate_lane", "Can pause, resume and wake lanes")]

    def __str__(self) -> str:
        return f"lane {self.number}"


class LaneIncident(models.Model):
    """Something that a lane's sequence proves: entries are missing, or Redis came back without its data."""

    class Kind(models.TextChoices):
        GAP = "gap", "gap: sequences are missing"
        NEW_EPOCH = "new_epoch", "new epoch: Redis lost its data"
        REUSED = "reused", "reused: a settled sequence came again with another event"

    lane = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=Kind.choices)
    epoch = models.BigIntegerField()
    first_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField()
    detail = models.TextField(blank=True)
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-seen_at"]

    def __str__(self) -> str:
        return f"lane {self.lane}: {self.kind} {self.first_sequence}-{self.last_sequence}"


class Batch(models.Model):
    """One transaction of one drain: every move of a lane's cursor has one, whether or not an event was in it.

    `merkle_root` is the RFC 6962 root over the leaves of its rows, in sequence order.
    """

    number = models.BigAutoField(primary_key=True)
    lane = models.PositiveSmallIntegerField()
    epoch = models.BigIntegerField()
    first_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField()
    event_count = models.PositiveIntegerField()
    duplicate_count = models.PositiveIntegerField(default=0)
    quarantined_count = models.PositiveIntegerField(default=0)
    dead_count = models.PositiveIntegerField(default=0)
    merkle_root = models.BinaryField()
    leaf_format = models.PositiveSmallIntegerField(
        db_default=1, editable=False, help_text="1: no leaves of quarantined events. 2: a leaf for each"
    )
    worker = models.CharField(max_length=96)
    fence = models.BigIntegerField()
    claimed_at = models.DateTimeField()
    committed_at = models.DateTimeField(help_text="Taken just before COMMIT")
    bodies_aged_at = models.DateTimeField(null=True, editable=False, help_text="Since then its payloads are gone")
    events_aged_at = models.DateTimeField(null=True, editable=False, help_text="Since then its event rows are gone")

    class Meta:
        ordering = ["-number"]
        indexes = [
            models.Index(fields=["lane", "epoch", "last_sequence"], name="batch_lane_sequence"),
            models.Index(fields=["committed_at"], condition=Q(bodies_aged_at=None), name="batch_with_bodies"),
            models.Index(fields=["committed_at"], condition=Q(events_aged_at=None), name="batch_with_events"),
        ]
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return f"batch {self.number}"


class Delivery(models.Model):
    """One POST as it came: the raw body and the signed headers, so that its signature can be verified again."""

    request_id = models.UUIDField(primary_key=True)
    provider = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    headers = RawJSONField(default=dict)
    headers_mac = models.BinaryField(
        db_default=b"", editable=False, help_text="Over its headers, by a key that PostgreSQL does not have"
    )
    body = models.BinaryField()
    body_sha256 = models.BinaryField()
    event_count = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return str(self.request_id)


class EventFields(models.Model):
    """What an event, a dead letter and a quarantined event have in common."""

    provider = models.CharField(max_length=64)
    message_id = models.TextField()
    event_type = models.TextField()
    ordering_key = models.TextField()
    identity = models.BinaryField()
    recipe = models.CharField(max_length=24, help_text="The identity recipe and its version, e.g. generic/1")
    lane = models.PositiveSmallIntegerField()
    epoch = models.BigIntegerField()
    sequence = models.BigIntegerField()
    body_sha256 = models.BinaryField()
    content_sha256 = models.BinaryField()
    received_at = models.DateTimeField(help_text="First byte seen by the ingress")
    accepted_at = models.DateTimeField(help_text="Appended to its lane, by Redis's clock")

    class Meta:
        abstract = True


class Event(EventFields):
    """An accepted event, stored once. Its id is its request id plus its position in the delivery (`kernel.ids`)."""

    id = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField(null=True)
    kind = models.CharField(
        max_length=16, default="other", help_text="Normalised: delivered, bounced, opened, payment, …"
    )
    payload = RawJSONField(null=True, help_text="None once it has aged out")
    redriven_at = models.DateTimeField(
        null=True,
        help_text="It stood aside, and a retry was asked for then: lane, sequence and accepted are the retry's",
    )
    redriven_from_sequence = models.BigIntegerField(null=True, help_text="Its first sequence, that of its receipt")
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, db_index=False, related_name="events")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity"], name="event_identity_once")]
        indexes = [
            models.Index(fields=["message_id", "event_type"], include=["id", "provider"], name="event_message_type"),
            models.Index(fields=["ordering_key", "id"], name="event_ordering_key"),
            models.Index(fields=["lane", "epoch", "sequence"], name="event_lane_sequence"),
        ]
        permissions = [("reveal_personal", "Can see personal data of one event, with a reason")]

    def __str__(self) -> str:
        return f"{self.event_type} {self.message_id}"


class BatchLeaves(models.Model):
    """The leaf hashes of a batch whose rows began to age out: its root can be computed from them for ever."""

    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, primary_key=True, related_name="leaves")
    hashes = models.BinaryField(help_text="32 bytes for each leaf, in sequence order")

    class Meta:
        verbose_name_plural = "batch leaves"

    def __str__(self) -> str:
        return f"leaves of batch {self.batch_id}"


class AgedEvent(models.Model):
    """What stays of an event that aged out: enough to know it again, and where its leaf is. None of its words."""

    event_id = models.UUIDField(primary_key=True)
    provider = models.CharField(max_length=64)
    identity = models.BinaryField()
    content_sha256 = models.BinaryField()
    lane = models.PositiveSmallIntegerField()
    epoch = models.BigIntegerField()
    sequence = models.BigIntegerField()
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, db_index=False, related_name="aged_events")
    position = models.PositiveIntegerField(help_text="Of its leaf among those of the batch, from 0")
    aged_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity"], name="aged_event_identity_once")]

    def __str__(self) -> str:
        return str(self.event_id)


class SuppressedDuplicate(models.Model):
    """An event that came again. Nothing was stored for it but this row."""

    event_id = models.UUIDField(primary_key=True, help_text="The id that the repeated event would have had")
    original_event_id = models.UUIDField(db_index=True)
    provider = models.CharField(max_length=64)
    message_id = models.TextField()
    event_type = models.TextField()
    received_at = models.DateTimeField()
    late = models.BooleanField(default=False, help_text="Found by PostgreSQL: Redis's dedupe window had passed")

    class Meta:
        ordering = ["-event_id"]
        indexes = [models.Index(fields=["message_id", "event_type"], name="duplicate_message_type")]

    def __str__(self) -> str:
        return f"{self.event_type} {self.message_id}"


class SetAsideState(models.TextChoices):
    OPEN = "open"
    RETRYING = "retrying"
    RETRIED = "retried"
    DISCARDED = "discarded"


class SetAsideFields(EventFields):
    """What a dead letter and a quarantined event have in common. Place and times stay those of the first receipt."""

    event_id = models.UUIDField(primary_key=True)
    occurred_at = models.DateTimeField(null=True)
    kind = models.CharField(max_length=16, default="other")
    payload_bytes = models.BinaryField()
    is_whole = models.BooleanField(
        default=False, help_text="All that an event's row needs stands here as it came: only then may it be retried"
    )
    state = models.CharField(max_length=16, choices=SetAsideState.choices, default=SetAsideState.OPEN)
    state_at = models.DateTimeField(null=True, help_text="When the state became what it is; none while nobody acted")
    attempt_count = models.PositiveIntegerField(default=1, help_text="The number of the attempt made last")
    discard_reason = models.TextField(default="")

    class Meta:
        abstract = True


class QuarantinedEvent(SetAsideFields):
    """The identity of a stored event with another content. Both are kept; a person decides."""

    original_event_id = models.UUIDField(null=True)
    original_content_sha256 = models.BinaryField(null=True)
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, db_index=False, related_name="quarantined")

    class Meta:
        ordering = ["-event_id"]
        indexes = [
            models.Index(fields=["message_id", "event_type"], name="quarantined_message_type"),
            models.Index(fields=["original_event_id"], name="quarantined_original"),
            models.Index(fields=["state", "event_id"], name="quarantined_state"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.message_id}"


class DeadLetter(SetAsideFields):
    """An accepted event that can never be stored as it is: its bytes, why, and what was tried."""

    State = SetAsideState

    error_class = models.CharField(max_length=96)
    error = models.TextField()
    fingerprint = models.CharField(max_length=16, db_index=True, help_text="Groups letters that failed alike")
    dead_at = models.DateTimeField(db_default=Now())
    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, db_index=False, related_name="dead_letters")

    class Meta:
        ordering = ["-event_id"]
        indexes = [
            models.Index(fields=["message_id", "event_type"], name="dead_letter_message_type"),
            models.Index(fields=["state", "event_id"], name="dead_letter_state"),
        ]
        permissions = [
            ("retry_set_aside", "Can retry dead letters and quarantined events"),
            ("discard_set_aside", "Can discard dead letters and quarantined events"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.message_id}: {self.error_class}"


class SetAsideAttempt(models.Model):
    """One try to store an event that stands aside. Number 1 is the try that set it aside."""

    class Outcome(models.TextChoices):
        UNDER_WAY = "under_way"
        STORED = "stored"
        DUPLICATE = "duplicate"
        FAILED = "failed"
        LANE_FULL = "lane_full"

    place = models.CharField(max_length=16, help_text="dead_letter or quarantine")
    event_id = models.UUIDField()
    number = models.PositiveIntegerField()
    asked_at = models.DateTimeField()
    outcome = models.CharField(max_length=16, choices=Outcome.choices, default=Outcome.UNDER_WAY)
    settled_at = models.DateTimeField(null=True)
    error_class = models.CharField(max_length=96, default="")
    error = models.TextField(default="")
    original_event_id = models.UUIDField(null=True, help_text="The stored event that holds the identity")
    lane = models.PositiveSmallIntegerField(null=True)
    epoch = models.BigIntegerField(null=True)
    sequence = models.BigIntegerField(null=True, help_text="Where it was put on its lane; none while it is not there")
    batch_number = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["event_id", "place", "number"], name="set_aside_attempt_once"),
        ]
        indexes = [  # the sweep looks every two seconds
            models.Index(fields=["id"], name="set_aside_under_way", condition=models.Q(outcome="under_way"))
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.event_id}: {self.outcome}"


class LatencyFlush(models.Model):
    """One process's histogram of one stage over about a second, or of all processes over a minute or an hour.

    Read by merging. `process` is MINUTE or HOUR in a row that `roll_up` made of others.
    """

    minute = models.DateTimeField()
    stage = models.CharField(max_length=12)
    provider = models.CharField(max_length=64)
    process = models.CharField(max_length=64)
    flush_number = models.BigIntegerField()
    count = models.BigIntegerField()
    within_slo_count = models.BigIntegerField(help_text="Exact count at or under 120 ms")
    sum_us = models.BigIntegerField()
    max_us = models.BigIntegerField()
    clamped_count = models.BigIntegerField(default=0, help_text="Longer than the histogram can hold")
    histogram = models.BinaryField(help_text="HdrHistogram V2, microseconds, 3 digits, compressed")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "stage", "provider", "process", "flush_number"], name="latency_flush_once"
            )
        ]
        indexes = [models.Index(fields=["minute"], condition=NOT_ROLLED_UP, name="latency_flush_single")]

    def __str__(self) -> str:
        return f"{self.stage} {self.minute:%H:%M} {self.count}"


class LatencyMerge(models.Model):
    """What the rows of `LatencyFlush` that `key` names come to together (`latency_merges`). May be deleted any time."""

    key = models.BinaryField(primary_key=True, max_length=32)
    span = models.DurationField()
    begin = models.DateTimeField()
    histogram = models.BinaryField(help_text="As in LatencyFlush")

    class Meta:
        indexes = [models.Index(fields=["span", "begin"], name="latency_merge_begin")]

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d %H:%M} {self.span}"


class FlushMark(models.Model):
    """The newest flush of a process that was rolled up: one that comes again is refused, it is counted already."""

    process = models.CharField(max_length=64, primary_key=True)
    flush_number = models.BigIntegerField()
    rolled_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.process} {self.flush_number}"


class AckOutcome(models.Model):
    """How many POSTs got which answer in about a second of one process: the error budget's and the metrics' source."""

    minute = models.DateTimeField()
    provider = models.CharField(max_length=64)
    code = models.CharField(max_length=48, help_text="accepted, duplicate, or the problem's code")
    process = models.CharField(max_length=64)
    flush_number = models.BigIntegerField()
    count = models.BigIntegerField()
    flushed_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "provider", "code", "process", "flush_number"], name="ack_outcome_once"
            )
        ]
        indexes = [models.Index(fields=["minute"], condition=NOT_ROLLED_UP, name="ack_outcome_single")]

    def __str__(self) -> str:
        return f"{self.provider} {self.code} {self.count}"


class RefusalCount(models.Model):
    """How many deliveries were not believed, by reason, in about a second of one process. Insert-only."""

    minute = models.DateTimeField()
    provider = models.CharField(max_length=64)
    reason = models.CharField(max_length=32)
    process = models.CharField(max_length=64)
    flush_number = models.BigIntegerField()
    count = models.BigIntegerField()
    flushed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["minute", "provider", "reason", "process", "flush_number"], name="refusal_count_once"
            )
        ]
        indexes = [
            models.Index(fields=["provider", "flushed_at"], name="refusal_count_recent"),
            models.Index(fields=["minute"], condition=NOT_ROLLED_UP, name="refusal_count_single"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.reason} {self.count}"


class RefusalSample(models.Model):
    """A delivery that was not believed, masked: what an operator needs and nothing that could carry a payload."""

    provider = models.CharField(max_length=64)
    reason = models.CharField(max_length=32)
    detail = models.CharField(max_length=200, blank=True)
    cause = models.CharField(max_length=32, help_text="What the signature fits, if it fits something else")
    cause_detail = models.CharField(max_length=200, blank=True)
    request_id = models.UUIDField()
    received_at = models.DateTimeField()
    header_names = models.JSONField(default=list)
    signature_starts = models.JSONField(default=dict)
    content_type = models.CharField(max_length=60, blank=True)
    body_bytes = models.PositiveIntegerField()
    body_start = models.CharField(max_length=96, blank=True, help_text="Shape of the first bytes, masked")

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["provider", "reason", "-id"], name="refusal_sample_ring")]

    def __str__(self) -> str:
        return f"{self.provider} {self.reason} {self.cause}"
