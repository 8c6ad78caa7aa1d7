from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("evidence", "0001_audit_log"),
    ]

    operations = [
        migrations.CreateModel(
            name="Artifact",
            fields=[
                (
                    "sha256",
                    models.CharField(
                        help_text="Hexadecimal; the address in the store too",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("size_bytes", models.BigIntegerField()),
                (
                    "media_type",
                    models.CharField(help_text="As its first bytes say, whatever its name says", max_length=128),
                ),
                ("stored_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-stored_at"],
                "permissions": [
                    ("upload_evidence", "Can upload evidence"),
                    ("export_evidence", "Can make evidence bundles"),
                    ("publish_evidence", "Can publish evidence to the central endpoint"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="LogKey",
            fields=[
                (
                    "vkey",
                    models.TextField(
                        help_text="C2SP verifier key: name+hash+base64", primary_key=True, serialize=False
                    ),
                ),
                ("first_used_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SealerState",
            fields=[
                ("log", models.CharField(max_length=16, primary_key=True, serialize=False)),
                ("sealed_below", models.BigIntegerField(default=0)),
                ("candidate", models.BigIntegerField(default=0)),
                ("candidate_xmax", models.BigIntegerField(default=0)),
                (
                    "refused_why",
                    models.TextField(default="", help_text="Why the sealer stands still; empty while it works"),
                ),
                ("refused_at", models.DateTimeField(null=True)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Cosignature",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("origin", models.TextField()),
                ("tree_size", models.BigIntegerField()),
                ("vkey", models.TextField()),
                ("line", models.TextField(help_text="The signature line of the note, as the witness sent it")),
                ("cosigned_at", models.DateTimeField(help_text="The time that the witness signed")),
                ("received_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("origin", "tree_size", "vkey"), name="cosignature_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="LogIncarnation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("log", models.CharField(max_length=16)),
                ("token", models.CharField(help_text="The last part of the log's origin", max_length=16)),
                ("origin", models.TextField(unique=True)),
                ("start_line", models.TextField()),
                (
                    "first_number",
                    models.BigIntegerField(help_text="Of the batch or audit entry from which on it seals"),
                ),
                ("started_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("log", "token"), name="log_incarnation_once")],
            },
        ),
        migrations.CreateModel(
            name="PromiseIncident",
            fields=[
                ("event_id", models.UUIDField(primary_key=True, serialize=False)),
                ("lane", models.PositiveSmallIntegerField()),
                ("epoch", models.BigIntegerField()),
                ("sequence", models.BigIntegerField()),
                ("body_sha256", models.BinaryField()),
                ("accepted_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[("missing", "Missing"), ("kept_late", "Kept Late")], default="missing", max_length=16
                    ),
                ),
                ("detail", models.TextField(blank=True)),
                ("found_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-found_at"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["state", "found_at"], name="promise_incident_state")],
            },
        ),
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "name",
                    models.CharField(help_text="As the sender called it; never a path on our side", max_length=255),
                ),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("note", models.TextField(blank=True)),
                ("uploaded_at", models.DateTimeField()),
                (
                    "artifact",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="uploads", to="evidence.artifact"
                    ),
                ),
            ],
            options={
                "ordering": ["-uploaded_at"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Bundle",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(db_index=True, max_length=64)),
                ("gate", models.CharField(max_length=64)),
                ("gate_version", models.PositiveIntegerField()),
                ("verdict", models.CharField(max_length=16)),
                (
                    "sums_sha256",
                    models.CharField(help_text="Of its SHA256SUMS: names the content, not the archive", max_length=64),
                ),
                ("missing", models.JSONField(default=list, help_text="Required files whose source does not exist")),
                ("made_at", models.DateTimeField()),
                ("actor", models.TextField()),
                (
                    "artifact",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="bundles", to="evidence.artifact"
                    ),
                ),
            ],
            options={
                "ordering": ["-made_at"],
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("artifact",), name="bundle_archive_once")],
            },
        ),
        migrations.CreateModel(
            name="Publication",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("endpoint", models.TextField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("refused", "refused: the mode forbids external sends"),
                            ("published", "Published"),
                            ("failed", "Failed"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("link", models.TextField(blank=True, help_text="Where the endpoint says that it is")),
                ("attempt_count", models.PositiveIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(null=True)),
                ("error", models.TextField(blank=True)),
                ("asked_by", models.TextField()),
                ("asked_at", models.DateTimeField()),
                ("published_at", models.DateTimeField(null=True)),
                (
                    "artifact",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="publications", to="evidence.artifact"
                    ),
                ),
            ],
            options={
                "ordering": ["-asked_at"],
                "default_permissions": (),
                "indexes": [models.Index(fields=["state", "next_attempt_at"], name="publication_due")],
                "constraints": [models.UniqueConstraint(fields=("artifact", "endpoint"), name="publication_once")],
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField(help_text="1 to n without a gap in its incarnation")),
                ("first_index", models.BigIntegerField()),
                ("tree_size", models.BigIntegerField()),
                ("root", models.BinaryField()),
                (
                    "frontier",
                    models.BinaryField(help_text="The roots of the full subtrees, largest first, 32 bytes each"),
                ),
                ("segment_sha256", models.BinaryField()),
                ("segment_bytes", models.BigIntegerField()),
                (
                    "previous_sha256",
                    models.BinaryField(help_text="Of the text of the seal before; zeros for the first"),
                ),
                ("text", models.TextField()),
                ("sealed_at", models.DateTimeField()),
                (
                    "incarnation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="seals",
                        to="evidence.logincarnation",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["incarnation", "tree_size"], name="seal_by_size")],
                "constraints": [models.UniqueConstraint(fields=("incarnation", "number"), name="seal_number_once")],
            },
        ),
        migrations.CreateModel(
            name="SealedBatch",
            fields=[
                ("batch_number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("index", models.BigIntegerField()),
                ("leaf_sha256", models.BinaryField(help_text="The leaf hash of its line (RFC 6962, prefix 0x00)")),
                (
                    "incarnation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="evidence.logincarnation",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("incarnation", "index"), name="sealed_batch_index_once")
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY),
        # from here on Django neither alters nor empties them (`flush` would run into the triggers)
        migrations.AlterModelOptions(name="logincarnation", options={"managed": False, "default_permissions": ()}),
        migrations.AlterModelOptions(
            name="seal", options={"managed": False, "default_permissions": ("view",), "ordering": ["-id"]}
        ),
        migrations.AlterModelOptions(name="sealedbatch", options={"managed": False, "default_permissions": ()}),
        migrations.AlterModelOptions(name="logkey", options={"managed": False, "default_permissions": ()}),
    ]
