"""Why deliveries were not believed, for operators; a sender is told nothing but 401.

1. `record`    the request path counts the refusal and, now and then, leaves the delivery for a sample. Both are
               bounded.
2. `causes`    once a second the housekeeping thread tries what may explain it: an ended secret, a rewritten body,
               another URL. The body exists in memory for that moment only.
3. `sample`    what is kept of it: names, lengths and masked beginnings, nothing that could carry a payload.
4. `store`     a few rows in a ring for each provider and reason. A crash before it loses samples only.
5. `advice`    what each reason and cause means, and what to do next.
"""
