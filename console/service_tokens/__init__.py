"""How programs come in: `Authorization: Bearer acst_<id>_<secret>`, with scopes instead of a role."""
