"""`python -m tests.console.rbac.roles_table`: the roles as a table; `--write` puts it into docs/rbac.md."""

from __future__ import annotations

import sys

from console.access import Permission
from tests.console.rbac.mutations import PAGE

BEGIN, END = "<!-- roles: begin -->", "<!-- roles: end -->"


def table() -> list[str]:
    from console.roles import PERMISSIONS_BY_ROLE
    from console.service_tokens.scopes import PERMISSIONS_BY_SCOPE

    holders = {role.value: held for role, held in PERMISSIONS_BY_ROLE.items()}
    holders |= {f"token {scope.value}": held for scope, held in PERMISSIONS_BY_SCOPE.items()}
    rows = [
        f"| `{permission.value}` | {' | '.join('yes' if permission in held else '' for held in holders.values())} |"
        for permission in Permission
    ]
    return [f"| permission | {' | '.join(holders)} |", f"|---|{'---|' * len(holders)}", *rows]


def main() -> int:
    if "--write" in sys.argv:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text("\n".join([f"{before}{BEGIN}", *table(), f"{END}{after}"]), encoding="utf-8")
    print("\n".join(table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
