from pathlib import Path

from django.db import migrations, models

APPEND_ONLY = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Not reversible: a migration that could take the log away would be the way around it."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("act", models.CharField(max_length=64)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("subject", models.TextField()),
                ("reason", models.TextField(blank=True)),
                ("facts", models.JSONField(default=dict)),
                ("previous_sha256", models.BinaryField()),
                ("entry_sha256", models.BinaryField(help_text="Over the canonical bytes of all the other columns")),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["act", "number"], name="audit_by_act"),
                    models.Index(fields=["actor", "number"], name="audit_by_actor"),
                    models.Index(fields=["subject", "number"], name="audit_by_subject"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("number", models.BigIntegerField()),
                ("entry_sha256", models.BinaryField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="audit_head_is_one_row")],
            },
        ),
        migrations.RunSQL(APPEND_ONLY),
        # from here on Django neither alters nor empties them (`flush` would run into the triggers)
        migrations.AlterModelOptions(
            name="auditentry",
            options={"managed": False, "default_permissions": ("view",), "verbose_name_plural": "audit entries"},
        ),
        migrations.AlterModelOptions(name="audithead", options={"managed": False, "default_permissions": ()}),
    ]
