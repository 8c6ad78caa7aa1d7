from pathlib import Path

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

STAYS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
UNDONE = (
    "DROP FUNCTION evidence_refuse_ledger_change() CASCADE; DROP FUNCTION evidence_decide_correction_once() CASCADE"
)


class Migration(migrations.Migration):
    dependencies = [
        ("evidence", "0006_guardrails"),
    ]

    operations = [
        migrations.CreateModel(
            name="BudgetEntry",
            fields=[
                ("number", models.BigIntegerField(help_text="1 to n without a gap", primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("slo", models.CharField(max_length=64)),
                ("slo_version", models.PositiveIntegerField()),
                ("account", models.CharField(help_text="month:2027-01", max_length=64)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("OPEN", "Open"),
                            ("BURN", "Burn"),
                            ("INCIDENT", "Incident"),
                            ("CORRECTION", "Correction"),
                            ("POLICY", "Policy"),
                            ("FREEZE_ON", "Freeze On"),
                            ("FREEZE_OFF", "Freeze Off"),
                            ("CLOSE", "Close"),
                        ],
                        max_length=16,
                    ),
                ),
                ("part", models.PositiveIntegerField(default=0)),
                ("window_from", models.DateTimeField()),
                ("window_to", models.DateTimeField()),
                ("valid", models.BigIntegerField(default=0)),
                ("good", models.BigIntegerField(default=0)),
                ("bad", models.BigIntegerField(default=0)),
                (
                    "unknown_seconds",
                    models.BigIntegerField(default=0, help_text="Time of the window that nobody measured"),
                ),
                ("target", models.DecimalField(decimal_places=6, max_digits=7)),
                (
                    "budget_total",
                    models.DecimalField(
                        decimal_places=6, help_text="Of the account: (1 - target) times what was valid", max_digits=24
                    ),
                ),
                ("consumed", models.BigIntegerField(help_text="Of the account: what was bad")),
                ("balance_after", models.DecimalField(decimal_places=6, max_digits=24)),
                (
                    "remaining_pct",
                    models.DecimalField(
                        decimal_places=6, help_text="Null where nothing was valid", max_digits=24, null=True
                    ),
                ),
                ("burn_1h", models.DecimalField(decimal_places=6, max_digits=24, null=True)),
                ("burn_6h", models.DecimalField(decimal_places=6, max_digits=24, null=True)),
                ("burn_1d", models.DecimalField(decimal_places=6, max_digits=24, null=True)),
                ("burn_3d", models.DecimalField(decimal_places=6, max_digits=24, null=True)),
                ("projected_exhaustion", models.DateTimeField(null=True)),
                ("raw", models.JSONField(help_text="The account as it was measured")),
                ("corrected", models.JSONField(help_text="The account with all corrections")),
                ("cause", models.JSONField(default=dict, help_text="Minutes, codes, providers, runs")),
                ("reason", models.TextField(blank=True)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor", models.TextField()),
                ("approver", models.TextField(blank=True)),
                ("evidence_sha256", models.CharField(help_text="Of what the entry was computed from", max_length=64)),
                (
                    "audit_number",
                    models.BigIntegerField(help_text="Of the audit entry that names the digest; it is sealed"),
                ),
            ],
            options={
                "verbose_name_plural": "budget entries",
                "ordering": ["-number"],
                "permissions": [
                    ("propose_correction", "Can propose a correction of an error budget"),
                    ("approve_correction", "Can approve a correction that another person proposed"),
                    ("annotate_budget", "Can enter an incident in an error budget's ledger"),
                ],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["slo", "account", "-number"], name="budget_entry_account")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ["OPEN", "BURN", "CLOSE"])),
                        fields=("slo", "account", "kind", "window_from", "window_to", "part"),
                        name="budget_entry_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "valid",
                                django.db.models.expressions.CombinedExpression(models.F("good"), "+", models.F("bad")),
                            )
                        ),
                        name="budget_entry_adds_up",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("window_to__gte", models.F("window_from"))), name="budget_window_ends_later"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "CORRECTION"), _negated=True),
                            models.Q(
                                models.Q(("approver", ""), _negated=True),
                                models.Q(("approver", models.F("actor")), _negated=True),
                                models.Q(("reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="correction_by_two_people",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("kind", "CORRECTION"), _negated=True),
                            models.Q(("account__startswith", "run:"), _negated=True),
                            _connector="OR",
                        ),
                        name="no_correction_of_a_run",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CorrectionProposal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slo", models.CharField(max_length=64)),
                ("account", models.CharField(max_length=64)),
                ("window_from", models.DateTimeField()),
                ("window_to", models.DateTimeField()),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("measurement_error", "Measurement Error"),
                            ("test_traffic", "Test Traffic"),
                            ("maintenance", "Maintenance"),
                            ("sender_fault", "Sender Fault"),
                        ],
                        max_length=24,
                    ),
                ),
                ("valid_delta", models.BigIntegerField()),
                ("bad_delta", models.BigIntegerField()),
                ("unknown_seconds_delta", models.BigIntegerField(default=0)),
                ("reason", models.TextField()),
                ("proposed_by", models.TextField()),
                ("proposed_at", models.DateTimeField()),
                ("audit_number", models.BigIntegerField(unique=True)),
                ("decided_by", models.TextField(blank=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("is_approved", models.BooleanField(null=True)),
                ("decision_reason", models.TextField(blank=True)),
                (
                    "entry",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposal",
                        to="evidence.budgetentry",
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
                "default_permissions": (),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                        name="correction_by_another_person",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("account__startswith", "run:"), _negated=True), name="no_proposal_for_a_run"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="correction_has_a_reason"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("decided_by", ""), ("entry", None), ("is_approved", None)),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("entry__isnull", False),
                                ("is_approved", True),
                                models.Q(("decided_by", ""), _negated=True),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("entry", None),
                                ("is_approved", False),
                                models.Q(("decided_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="correction_decided_whole",
                    ),
                ],
            },
        ),
        migrations.RunSQL(STAYS, UNDONE),
    ]
