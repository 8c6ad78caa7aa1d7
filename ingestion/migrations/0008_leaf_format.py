from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0007_set_aside_permissions"),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="leaf_format",
            field=models.PositiveSmallIntegerField(
                db_default=1, editable=False, help_text="1: no leaves of quarantined events. 2: a leaf for each"
            ),
        ),
    ]
