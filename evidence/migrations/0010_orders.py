from django.db import migrations, models

# all kinds of orders have the same states from here on
RENAMED = """
    UPDATE evidence_bundleorder SET state = 'running' WHERE state = 'making';
    UPDATE evidence_bundleorder SET state = 'done' WHERE state = 'made';
"""
BACK = """
    UPDATE evidence_bundleorder SET state = 'making' WHERE state = 'running';
    UPDATE evidence_bundleorder SET state = 'made' WHERE state = 'done';
    UPDATE evidence_bundleorder SET state = 'failed' WHERE state IN ('cancelled', 'died');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("evidence", "0009_bundle_view"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReplayOrder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("died", "Died"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("step", models.TextField(blank=True, help_text="What its process does now")),
                ("why", models.TextField(blank=True, help_text="It was not done")),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("asked_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("seen_at", models.DateTimeField(help_text="The last word of its process", null=True)),
                ("settled_at", models.DateTimeField(null=True)),
                ("cancel_asked_at", models.DateTimeField(null=True)),
                ("cancel_asked_by", models.TextField(blank=True)),
                ("run_id", models.CharField(max_length=64, unique=True)),
                ("reason", models.TextField()),
                ("count", models.PositiveIntegerField(help_text="Sends, deliberate duplicates included")),
                ("rate", models.PositiveIntegerField(help_text="Sends a second")),
                ("keys", models.PositiveIntegerField()),
                ("duplicates_percent", models.PositiveSmallIntegerField()),
                ("seed", models.BigIntegerField()),
                ("provider", models.CharField(max_length=64)),
                ("gate", models.CharField(max_length=64)),
                ("sent_count", models.PositiveIntegerField(default=0)),
                ("acked_count", models.PositiveIntegerField(default=0)),
                ("rejected_count", models.PositiveIntegerField(default=0)),
                ("retried_count", models.PositiveIntegerField(default=0)),
                (
                    "committed_count",
                    models.PositiveIntegerField(help_text="Rows of the run in PostgreSQL; null: not known", null=True),
                ),
                ("p95_us", models.BigIntegerField(help_text="Of the acks so far", null=True)),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [("start_replay", "Can start and cancel replay runs")],
                "default_permissions": (),
            },
        ),
        migrations.RemoveIndex(
            model_name="bundleorder",
            name="bundle_order_open",
        ),
        migrations.RunSQL(RENAMED, BACK),
        migrations.AddField(
            model_name="bundleorder",
            name="cancel_asked_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="bundleorder",
            name="cancel_asked_by",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="bundleorder",
            name="seen_at",
            field=models.DateTimeField(help_text="The last word of its process", null=True),
        ),
        migrations.AddField(
            model_name="bundleorder",
            name="step",
            field=models.TextField(blank=True, help_text="What its process does now"),
        ),
        migrations.AlterField(
            model_name="bundleorder",
            name="state",
            field=models.CharField(
                choices=[
                    ("waiting", "Waiting"),
                    ("running", "Running"),
                    ("done", "Done"),
                    ("failed", "Failed"),
                    ("cancelled", "Cancelled"),
                    ("died", "Died"),
                ],
                default="waiting",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="bundleorder",
            name="why",
            field=models.TextField(blank=True, help_text="It was not done"),
        ),
        migrations.AddIndex(
            model_name="bundleorder",
            index=models.Index(
                condition=models.Q(("state__in", ("waiting", "running"))), fields=["id"], name="bundle_order_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="replayorder",
            constraint=models.UniqueConstraint(
                models.Value(1), condition=models.Q(("state__in", ("waiting", "running"))), name="replay_order_one_open"
            ),
        ),
    ]
