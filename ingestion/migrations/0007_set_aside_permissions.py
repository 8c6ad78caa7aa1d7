from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0006_retention"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="deadletter",
            options={
                "ordering": ["-event_id"],
                "permissions": [
                    ("retry_set_aside", "Can retry dead letters and quarantined events"),
                    ("discard_set_aside", "Can discard dead letters and quarantined events"),
                ],
            },
        ),
    ]
