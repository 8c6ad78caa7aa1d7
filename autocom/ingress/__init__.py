"""The ingress process: an RSGI application under granian that reads bodies without holding a thread, runs the receive
view inline and commits the acks of
concurrent requests to Redis as a group."""
