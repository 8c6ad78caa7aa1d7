import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("evidence", "0002_log_and_artifacts"),
    ]

    operations = [
        migrations.CreateModel(
            name="BundleOrder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run_id", models.CharField(max_length=64)),
                ("gate", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[("waiting", "Waiting"), ("making", "Making"), ("made", "Made"), ("failed", "Failed")],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("why", models.TextField(blank=True, help_text="It failed")),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("asked_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "bundle",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="evidence.bundle",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": (),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["waiting", "making"])),
                        fields=["id"],
                        name="bundle_order_open",
                    )
                ],
            },
        ),
    ]
