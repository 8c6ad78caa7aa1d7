"""The console counts and lists messages by their state: without an index that reads every forwarded event."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evidence", "0010_orders")]

    operations = [
        migrations.AddIndex(
            model_name="outgoing",
            index=models.Index(fields=["state", "destination", "settled_at"], name="outgoing_by_state"),
        ),
    ]
