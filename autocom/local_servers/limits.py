"""What the local servers may use. Pure: settings check their own bounds against it."""

VALKEY_MEMORY_BYTES = 1_073_741_824  # above it Valkey refuses writes instead of taking the machine's memory
