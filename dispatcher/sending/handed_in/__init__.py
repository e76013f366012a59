"""Files that were handed in, at the console or by a program, are looked at and taken in.

place.py       with what, and by whom, files are worked off
orders.py      how a file is to be read, as its row keeps it
people.py      a file of people: dry run and import
never_mail.py  a file of addresses that are never to be mailed
work.py        which file is next; what happens when one cannot be read
"""
