from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0009_delivery_headers_mac"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="event",
            options={"permissions": [("reveal_personal", "Can see personal data of one event, with a reason")]},
        ),
        migrations.AlterModelOptions(
            name="lane",
            options={"ordering": ["number"], "permissions": [("operate_lane", "Can pause, resume and wake lanes")]},
        ),
        migrations.AddField(
            model_name="lane",
            name="paused_at",
            field=models.DateTimeField(
                editable=False,
                help_text="Since then nothing of the lane is committed: a person paused it",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="lane",
            name="paused_by",
            field=models.CharField(db_default="", default="", editable=False, max_length=160),
        ),
        migrations.AddField(
            model_name="lane",
            name="pause_reason",
            field=models.TextField(db_default="", default="", editable=False),
        ),
    ]
