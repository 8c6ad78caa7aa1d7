from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("ingestion", "0010_reveal_and_pause"),
    ]

    operations = [
        migrations.CreateModel(
            name="LatencyMerge",
            fields=[
                ("key", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("span", models.DurationField()),
                ("begin", models.DateTimeField()),
                ("histogram", models.BinaryField(help_text="As in LatencyFlush")),
            ],
            options={
                "indexes": [models.Index(fields=["span", "begin"], name="latency_merge_begin")],
            },
        ),
    ]
