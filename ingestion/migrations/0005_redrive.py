from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0004_refusals"),
    ]

    operations = [
        migrations.CreateModel(
            name="SetAsideAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.CharField(help_text="dead_letter or quarantine", max_length=16)),
                ("event_id", models.UUIDField()),
                ("number", models.PositiveIntegerField()),
                ("asked_at", models.DateTimeField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("under_way", "Under Way"),
                            ("stored", "Stored"),
                            ("duplicate", "Duplicate"),
                            ("failed", "Failed"),
                            ("lane_full", "Lane Full"),
                        ],
                        default="under_way",
                        max_length=16,
                    ),
                ),
                ("settled_at", models.DateTimeField(null=True)),
                ("error_class", models.CharField(default="", max_length=96)),
                ("error", models.TextField(default="")),
                (
                    "original_event_id",
                    models.UUIDField(help_text="The stored event that holds the identity", null=True),
                ),
                ("lane", models.PositiveSmallIntegerField(null=True)),
                ("epoch", models.BigIntegerField(null=True)),
                (
                    "sequence",
                    models.BigIntegerField(
                        help_text="Where it was put on its lane; none while it is not there", null=True
                    ),
                ),
                ("batch_number", models.BigIntegerField(null=True)),
            ],
            options={
                "ordering": ["number"],
            },
        ),
        migrations.AddField(
            model_name="deadletter",
            name="discard_reason",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="is_whole",
            field=models.BooleanField(
                default=False,
                help_text="All that an event's row needs stands here as it came: only then may it be retried",
            ),
        ),
        migrations.AddField(
            model_name="deadletter",
            name="state_at",
            field=models.DateTimeField(
                help_text="When the state became what it is; none while nobody acted", null=True
            ),
        ),
        migrations.AddField(
            model_name="event",
            name="redriven_at",
            field=models.DateTimeField(
                help_text="It stood aside, and a retry was asked for then: lane, sequence and accepted are the retry's",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="event",
            name="redriven_from_sequence",
            field=models.BigIntegerField(help_text="Its first sequence, that of its receipt", null=True),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="attempt_count",
            field=models.PositiveIntegerField(default=1, help_text="The number of the attempt made last"),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="discard_reason",
            field=models.TextField(default=""),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="is_whole",
            field=models.BooleanField(
                default=False,
                help_text="All that an event's row needs stands here as it came: only then may it be retried",
            ),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="kind",
            field=models.CharField(default="other", max_length=16),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="occurred_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("retrying", "Retrying"),
                    ("retried", "Retried"),
                    ("discarded", "Discarded"),
                ],
                default="open",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="quarantinedevent",
            name="state_at",
            field=models.DateTimeField(
                help_text="When the state became what it is; none while nobody acted", null=True
            ),
        ),
        migrations.AlterField(
            model_name="deadletter",
            name="attempt_count",
            field=models.PositiveIntegerField(default=1, help_text="The number of the attempt made last"),
        ),
        migrations.AlterField(
            model_name="deadletter",
            name="state",
            field=models.CharField(
                choices=[
                    ("open", "Open"),
                    ("retrying", "Retrying"),
                    ("retried", "Retried"),
                    ("discarded", "Discarded"),
                ],
                default="open",
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(fields=["state", "event_id"], name="dead_letter_state"),
        ),
        migrations.AddIndex(
            model_name="quarantinedevent",
            index=models.Index(fields=["state", "event_id"], name="quarantined_state"),
        ),
        migrations.AddIndex(
            model_name="setasideattempt",
            index=models.Index(condition=models.Q(("outcome", "under_way")), fields=["id"], name="set_aside_under_way"),
        ),
        migrations.AddConstraint(
            model_name="setasideattempt",
            constraint=models.UniqueConstraint(fields=("event_id", "place", "number"), name="set_aside_attempt_once"),
        ),
    ]
