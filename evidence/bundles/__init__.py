"""Evidence bundles: one archive of a gate run that an outsider can check with sha256sum, openssl and one Python file.

1. `run`: the run's files, and the rows that PostgreSQL has of it.
2. `collect`: each group of parts writes its files below `data/`, or says why they are not there. Nothing is left empty.
3. The verdict, by the gate's specification and with what is missing.
4. `notes`, `report`, `statements`: what people read, and what is signed about the parts.
5. `bag`: BagIt manifests, SHA256SUMS and its signature. After this nothing is added.
6. `archive`: the same files give the same bytes.

A crash before the end leaves a folder below EVIDENCE_ROOT/making, which the next bundle of the run replaces.
"""
