"""The ingress processes. What happens to a request, a file for each step:

1. `server`        the parent forks workers and replaces those that die; each has a loop and a listening socket.
2. `http`          bytes become a request, within limits of size and time; one at a time a connection.
3. `application`   Django's handler runs the receive view inline; it answers, or leaves an envelope to be promised.
   `overload`      more requests at once than a round can serve wait their turn; those that wait too long are shed.
4. `group_commit`  the envelopes of the moment go to Redis in one write; each request is answered with its own reply.
"""
