"""How providers and their secrets change: one verb a module, one transaction each, for the command and the console.

`add` makes a provider with its first secret; `rotate` adds a secret and gives the older ones an end; `revoke` ends one
secret now; `switch` turns a provider on or off; `rekey` encrypts what is stored under the newest key. Each change moves
`Provider.updated_at`, by which every ingress sees it within about two seconds. A secret's row is never deleted: stored
deliveries can be verified again with it.
"""
