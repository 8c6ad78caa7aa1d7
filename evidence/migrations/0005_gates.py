from pathlib import Path

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STAYS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
UNDONE = "DROP FUNCTION evidence_refuse_decision_change() CASCADE"


class Migration(migrations.Migration):
    dependencies = [
        ("evidence", "0004_bundle_orders"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="FrozenSpec",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveIntegerField()),
                ("sha256", models.CharField(help_text="Of the text, hexadecimal", max_length=64)),
                ("text", models.TextField(help_text="The specification's file, verbatim")),
                ("frozen_at", models.DateTimeField()),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("reason", models.TextField()),
                ("audit_number", models.BigIntegerField(unique=True)),
            ],
            options={
                "ordering": ["-frozen_at"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Gate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.SlugField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["name"],
                "permissions": [
                    ("freeze_gate", "Can freeze a gate's specification"),
                    ("decide_gate", "Can decide on the gate: its DRI, as an object permission"),
                    ("approve_decision", "Can approve a decision GO as the second person"),
                    ("assign_dri", "Can name the DRI of a gate"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(help_text="burn, dead_letters, guardrail, lag, promise, outgoing", max_length=32),
                ),
                (
                    "subject",
                    models.CharField(
                        help_text="What it is about: with `kind` it tells open alerts apart", max_length=200
                    ),
                ),
                ("severity", models.CharField(choices=[("page", "Page"), ("ticket", "Ticket")], max_length=8)),
                ("summary", models.TextField(help_text="One sentence for whoever is woken by it")),
                ("facts", models.JSONField(default=dict)),
                ("opened_at", models.DateTimeField()),
                ("last_seen_at", models.DateTimeField()),
                ("seen_count", models.PositiveIntegerField(default=1)),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-opened_at"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["-opened_at"], name="alert_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("closed_at", None)), fields=("kind", "subject"), name="alert_open_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=[("GO", "GO"), ("NO-GO", "NO-GO")], max_length=8)),
                ("run_id", models.CharField(blank=True, max_length=64)),
                ("verdict", models.CharField(blank=True, max_length=16)),
                (
                    "binding",
                    models.JSONField(
                        default=dict, help_text="Digests of what was decided on: any other value voids it"
                    ),
                ),
                ("binding_sha256", models.CharField(blank=True, max_length=64)),
                ("reason", models.TextField()),
                ("rollback_plan", models.JSONField(default=dict, help_text="trigger, steps, owner, limit_seconds")),
                ("decided_at", models.DateTimeField()),
                (
                    "expires_at",
                    models.DateTimeField(
                        help_text="Until then a GO may be approved and a mode enabled by it", null=True
                    ),
                ),
                ("audit_number", models.BigIntegerField(unique=True)),
                (
                    "bundle",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="evidence.bundle",
                    ),
                ),
                (
                    "dri",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "spec",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="evidence.frozenspec",
                    ),
                ),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="decisions", to="evidence.gate"
                    ),
                ),
            ],
            options={
                "ordering": ["-decided_at"],
                "default_permissions": ("view",),
            },
        ),
        migrations.AddField(
            model_name="frozenspec",
            name="gate",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="specs", to="evidence.gate"
            ),
        ),
        migrations.CreateModel(
            name="DriTerm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("assigned_by", models.TextField()),
                ("reason", models.TextField()),
                ("ended_by", models.TextField(blank=True)),
                ("end_reason", models.TextField(blank=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dri_terms",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "gate",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="terms", to="evidence.gate"
                    ),
                ),
            ],
            options={
                "ordering": ["-since"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ModeChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("mode", models.CharField(max_length=16)),
                ("previous", models.CharField(max_length=16)),
                (
                    "scope",
                    models.JSONField(
                        default=dict, help_text='LIMITED only: {"share": "0.05"} or {"keys": […], "providers": […]}'
                    ),
                ),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("decision", "Decision"),
                            ("person", "Person"),
                            ("guardrail", "Guardrail"),
                            ("drill", "Drill"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "binding_sha256",
                    models.CharField(blank=True, help_text="Of the decision: what may run in this mode", max_length=64),
                ),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("reason", models.TextField()),
                ("changed_at", models.DateTimeField()),
                ("audit_number", models.BigIntegerField(unique=True)),
                (
                    "mac",
                    models.BinaryField(
                        help_text="Over all of it, under a key derived from SECRET_KEY: a forged row enables nothing"
                    ),
                ),
                (
                    "decision",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="mode_changes",
                        to="evidence.decision",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "permissions": [
                    ("lower_mode", "Can take the service back to OBSERVER or LIMITED"),
                    ("raise_mode", "Can raise it"),
                ],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.TextField(blank=True)),
                ("approved_at", models.DateTimeField()),
                ("audit_number", models.BigIntegerField(unique=True)),
                (
                    "approver",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="approvals",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "dri",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "decision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="approval", to="evidence.decision"
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("approver", models.F("dri")), _negated=True),
                        name="approver_is_another_person",
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="frozenspec",
            constraint=models.UniqueConstraint(fields=("gate", "version"), name="frozen_spec_version_once"),
        ),
        migrations.AddConstraint(
            model_name="driterm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until", None)), fields=("gate",), name="one_dri_for_each_gate"
            ),
        ),
        migrations.AddConstraint(
            model_name="driterm",
            constraint=models.CheckConstraint(
                condition=models.Q(("until", None), ("until__gte", models.F("since")), _connector="OR"),
                name="dri_term_ends_later",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "GO"), _negated=True),
                    models.Q(("bundle__isnull", False), ("spec__isnull", False), ("verdict", "PASS")),
                    _connector="OR",
                ),
                name="go_needs_a_pass",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="decision_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="modechange",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode", "OBSERVER"), ("decision__isnull", False), _connector="OR"),
                name="mode_is_raised_by_a_decision",
            ),
        ),
        migrations.RunSQL(STAYS, UNDONE),
    ]
