"""The console's HTTP API. Programs come with a service token, pages of the console with their session."""
