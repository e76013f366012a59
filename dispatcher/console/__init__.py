"""The console: what marketing, operators and data protection look at and do, in the browser.

A page is data (`declare.py`): a path, who may, and a function that gives values or does something. What is the same for
all of them is done by `frame.py`: session, permission, form token, origin, transaction, audit log, language, errors.
"""
