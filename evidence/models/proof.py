"""What was done, sealed, promised, stored and published. PostgreSQL itself refuses to change the logs among it."""

from django.db import models


class AuditEntry(models.Model):
    """One act: who, what, on what, why. Numbered 1 to n without a gap; each holds the digest of the one before."""

    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    act = models.CharField(max_length=64)
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    subject = models.TextField()
    reason = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    previous_sha256 = models.BinaryField()
    entry_sha256 = models.BinaryField(help_text="Over the canonical bytes of all the other columns")

    class Meta:
        managed = False  # migration 0001 made it; `flush` and later migrations leave it alone, as its triggers do
        default_permissions = ("view",)
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["act", "number"], name="audit_by_act"),
            models.Index(fields=["actor", "number"], name="audit_by_actor"),
            models.Index(fields=["subject", "number"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.act}"


class AuditHead(models.Model):
    """The one row that names the newest entry. Its lock puts concurrent acts in a row; only a new entry moves it."""

    id = models.SmallIntegerField(primary_key=True)
    number = models.BigIntegerField()
    entry_sha256 = models.BinaryField()

    class Meta:
        managed = False
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="audit_head_is_one_row")]

    def __str__(self) -> str:
        return f"entry {self.number}"


class LogIncarnation(models.Model):
    """One life of a log (`events` or `audit`), until the database loses sealed history and the log begins anew.

    Its first leaf is the start line, which names the head of the life before.
    """

    log = models.CharField(max_length=16)
    token = models.CharField(max_length=16, help_text="The last part of the log's origin")
    origin = models.TextField(unique=True)
    start_line = models.TextField()
    first_number = models.BigIntegerField(help_text="Of the batch or audit entry from which on it seals")
    started_at = models.DateTimeField()

    class Meta:
        managed = False  # as the audit log: append-only
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["log", "token"], name="log_incarnation_once")]

    def __str__(self) -> str:
        return self.origin


class Seal(models.Model):
    """One growth of a log: the leaves `first_index` to `tree_size - 1`, their segment, and the signed checkpoint.

    `text` is the seal file: it names the seal before by its digest, the segment by its own, and ends with the
    checkpoint.
    """

    incarnation = models.ForeignKey(LogIncarnation, on_delete=models.PROTECT, db_constraint=False, related_name="seals")
    number = models.BigIntegerField(help_text="1 to n without a gap in its incarnation")
    first_index = models.BigIntegerField()
    tree_size = models.BigIntegerField()
    root = models.BinaryField()
    frontier = models.BinaryField(help_text="The roots of the full subtrees, largest first, 32 bytes each")
    segment_sha256 = models.BinaryField()
    segment_bytes = models.BigIntegerField()
    previous_sha256 = models.BinaryField(help_text="Of the text of the seal before; zeros for the first")
    text = models.TextField()
    sealed_at = models.DateTimeField()

    class Meta:
        managed = False
        default_permissions = ("view",)
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["incarnation", "number"], name="seal_number_once")]
        indexes = [models.Index(fields=["incarnation", "tree_size"], name="seal_by_size")]

    def __str__(self) -> str:
        return f"seal {self.number} of {self.incarnation_id}"


class SealedBatch(models.Model):
    """Where a batch's line stands in the log of events. A row of its own, so that nothing is ever updated."""

    batch_number = models.BigIntegerField(primary_key=True)
    incarnation = models.ForeignKey(LogIncarnation, on_delete=models.PROTECT, db_constraint=False, related_name="+")
    index = models.BigIntegerField()
    leaf_sha256 = models.BinaryField(help_text="The leaf hash of its line (RFC 6962, prefix 0x00)")

    class Meta:
        managed = False
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["incarnation", "index"], name="sealed_batch_index_once")]

    def __str__(self) -> str:
        return f"batch {self.batch_number} at {self.index}"


class LogKey(models.Model):
    """A public key that signed checkpoints, for ever: what it signed stays verifiable after its rotation."""

    vkey = models.TextField(primary_key=True, help_text="C2SP verifier key: name+hash+base64")
    first_used_at = models.DateTimeField()

    class Meta:
        managed = False
        default_permissions = ()

    def __str__(self) -> str:
        return self.vkey


class SealerState(models.Model):
    """How far a log is certain to be sealed. Only a shortcut: every value can be computed from the rows.

    Every batch up to `sealed_below` is sealed. `candidate` becomes that as soon as all transactions that were under
    way when it was read have ended (`candidate_xmax`).
    """

    log = models.CharField(max_length=16, primary_key=True)
    sealed_below = models.BigIntegerField(default=0)
    candidate = models.BigIntegerField(default=0)
    candidate_xmax = models.BigIntegerField(default=0)
    refused_why = models.TextField(default="", help_text="Why the sealer stands still; empty while it works")
    refused_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.log}: sealed up to {self.sealed_below}"


class Cosignature(models.Model):
    """A witness's signature over a checkpoint of ours that it checked against the one it kept."""

    origin = models.TextField()
    tree_size = models.BigIntegerField()
    vkey = models.TextField()
    line = models.TextField(help_text="The signature line of the note, as the witness sent it")
    cosigned_at = models.DateTimeField(help_text="The time that the witness signed")
    received_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["origin", "tree_size", "vkey"], name="cosignature_once")]

    def __str__(self) -> str:
        return f"{self.origin} {self.tree_size} by {self.vkey}"


class PromiseIncident(models.Model):
    """An event that a receipt promised and that no table had a minute later, or not as it was promised."""

    class State(models.TextChoices):
        MISSING = "missing"
        DIFFERS = "differs"
        KEPT_LATE = "kept_late"

    event_id = models.UUIDField(primary_key=True)
    lane = models.PositiveSmallIntegerField()
    epoch = models.BigIntegerField()
    sequence = models.BigIntegerField()
    body_sha256 = models.BinaryField()
    accepted_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.MISSING)
    detail = models.TextField(blank=True)
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-found_at"]
        default_permissions = ("view",)
        indexes = [models.Index(fields=["state", "found_at"], name="promise_incident_state")]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.state}"


class Artifact(models.Model):
    """Bytes in the evidence store, under their own digest. Nothing is ever overwritten."""

    sha256 = models.CharField(max_length=64, primary_key=True, help_text="Hexadecimal; the address in the store too")
    size_bytes = models.BigIntegerField()
    media_type = models.CharField(max_length=128, help_text="As its first bytes say, whatever its name says")
    stored_at = models.DateTimeField()

    class Meta:
        ordering = ["-stored_at"]
        default_permissions = ("view",)
        permissions = [
            ("upload_evidence", "Can upload evidence"),
            ("export_evidence", "Can make evidence bundles"),
            ("publish_evidence", "Can publish evidence to the central endpoint"),
        ]

    def __str__(self) -> str:
        return f"artifact {self.sha256[:12]}…"


class Upload(models.Model):
    """One registration of an artifact: who brought it, under which name, why. The same bytes may come again."""

    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="uploads")
    name = models.CharField(max_length=255, help_text="As the sender called it; never a path on our side")
    actor_kind = models.CharField(max_length=16)
    actor = models.TextField()
    note = models.TextField(blank=True)
    uploaded_at = models.DateTimeField()

    class Meta:
        ordering = ["-uploaded_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} {self.artifact_id}"


class Bundle(models.Model):
    """One evidence bundle that was made of a gate run. Its archive is an artifact."""

    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="bundles")
    run_id = models.CharField(max_length=64, db_index=True)
    gate = models.CharField(max_length=64)
    gate_version = models.PositiveIntegerField()
    verdict = models.CharField(max_length=16)
    sums_sha256 = models.CharField(max_length=64, help_text="Of its SHA256SUMS: names the content, not the archive")
    missing = models.JSONField(default=list, help_text="Required files whose source does not exist")
    made_at = models.DateTimeField()
    actor = models.TextField()

    class Meta:
        ordering = ["-made_at"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["artifact"], name="bundle_archive_once")]

    def __str__(self) -> str:
        return f"{self.gate} {self.run_id}"


class Publication(models.Model):
    """One artifact on its way to the central endpoint, and what the endpoint answered."""

    class State(models.TextChoices):
        WAITING = "waiting"
        REFUSED = "refused", "refused: the mode forbids external sends"
        PUBLISHED = "published"
        FAILED = "failed"

    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="publications")
    endpoint = models.TextField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    link = models.TextField(blank=True, help_text="Where the endpoint says that it is")
    attempt_count = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    asked_by = models.TextField()
    asked_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-asked_at"]
        default_permissions = ()
        indexes = [models.Index(fields=["state", "next_attempt_at"], name="publication_due")]
        constraints = [models.UniqueConstraint(fields=["artifact", "endpoint"], name="publication_once")]

    def __str__(self) -> str:
        return f"{self.artifact_id} to {self.endpoint}"
