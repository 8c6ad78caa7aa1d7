"""`/api/v1/`: the console's pages and acts for programs.

Each view declares its operations (`operation.py`): permission, parameters, body, answer. The same declaration refuses
what does not fit (`view.py`) and describes it (`schema.py`), so the document cannot say another thing than the code.
Answers are TypedDicts, whose fields are the document's too (`shapes.py`).
"""
