"""What people decided about gates, and whether it still holds."""
