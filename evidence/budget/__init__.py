"""How much of what was promised may still fail: the ledger of error budgets, and how fast they are spent."""
