"""What people change, one act a module: the permission is checked, the act is done, the audit log has it, all in one.

A refusal for want of the permission is recorded too, then raised. Pages and commands call these and nothing below them.
"""
