import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("evidence", "0007_budget"),
    ]

    operations = [
        migrations.CreateModel(
            name="Destination",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.SlugField(max_length=64, unique=True)),
                ("address", models.TextField(help_text="https://host/path: without user, query and fragment")),
                ("secret_ciphertext", models.BinaryField(help_text="Sealed as the providers' secrets are")),
                ("secret_fingerprint", models.CharField(max_length=16)),
                ("tells_alerts", models.BooleanField(default=True)),
                (
                    "alert_kinds",
                    models.JSONField(default=list, help_text="Only alerts of these kinds; empty: of every kind"),
                ),
                ("forwards", models.BooleanField(default=False, help_text="Accepted events are forwarded to it")),
                (
                    "providers",
                    models.JSONField(
                        default=list, help_text="Only events of these providers; empty: of every provider"
                    ),
                ),
                (
                    "event_types",
                    models.JSONField(default=list, help_text="Only events of these types; empty: of every type"),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(help_text="Alerts opened before are not told")),
            ],
            options={
                "ordering": ["name"],
                "permissions": [("manage_destination", "Can add, change, test and remove destinations")],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="ForwardCursor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lane", models.PositiveSmallIntegerField()),
                ("batch_number", models.BigIntegerField(default=0)),
                (
                    "lane_seen_at",
                    models.DateTimeField(help_text="Time of the lane's row when nothing was left of it", null=True),
                ),
                (
                    "destination",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="cursors", to="evidence.destination"
                    ),
                ),
            ],
            options={
                "ordering": ["lane"],
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("destination", "lane"), name="forward_cursor_once")],
            },
        ),
        migrations.CreateModel(
            name="Outgoing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "message_id",
                    models.CharField(help_text="The header webhook-id, the same at each attempt", max_length=64),
                ),
                (
                    "event_id",
                    models.UUIDField(
                        help_text="An event's body is read at each attempt, and kept nowhere else", null=True
                    ),
                ),
                ("provider", models.CharField(blank=True, help_text="Of the event", max_length=64)),
                ("ordering_key", models.TextField()),
                ("body", models.TextField(blank=True, help_text="Of an alert: JSON, as it is sent at each attempt")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sent", "Sent"),
                            ("withheld", "withheld: the mode forbids external sends"),
                            ("dead", "Dead"),
                            ("discarded", "Discarded"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("attempt_count", models.PositiveIntegerField(default=0)),
                (
                    "next_attempt_at",
                    models.DateTimeField(help_text="While an attempt is under way: when it counts as lost"),
                ),
                ("error", models.TextField(blank=True)),
                ("created_at", models.DateTimeField()),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "alert",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outgoing",
                        to="evidence.alert",
                    ),
                ),
                (
                    "destination",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="outgoing", to="evidence.destination"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "permissions": [("decide_outgoing", "Can retry, release and discard messages to destinations")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "waiting")),
                        fields=["destination", "ordering_key", "id"],
                        name="outgoing_waiting",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("destination", "message_id"), name="outgoing_once")],
            },
        ),
        migrations.CreateModel(
            name="WithheldCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField()),
                ("count", models.PositiveIntegerField(default=0)),
                (
                    "destination",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="withheld", to="evidence.destination"
                    ),
                ),
            ],
            options={
                "ordering": ["-hour"],
                "default_permissions": (),
                "constraints": [models.UniqueConstraint(fields=("destination", "hour"), name="withheld_once_an_hour")],
            },
        ),
    ]
