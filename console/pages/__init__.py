"""Pages that belong to no model: one page, one module, one template."""
