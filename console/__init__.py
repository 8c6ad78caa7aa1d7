"""What people see and press: the admin site, its pages and its access policy.

A request passes, in this order:

1. `site`      every URL of the console hangs on one guarded site: nobody but signed-in staff comes further.
2. `access`    each page names the one permission it takes; a model's pages take Django's permissions of that model.
3. `admin`     lists and details of one model each, read-only but for providers; long lists page by key (`keyset`).
4. `pages`     pages that belong to no model: they ask selectors and say UNKNOWN where a source is silent.
"""
