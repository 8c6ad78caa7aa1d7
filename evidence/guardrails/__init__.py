"""Rules over live figures that take the service back to OBSERVER by themselves."""
