"""A person's whole life: added, found, told, paused, restricted, erased.

subscribers  found and added       rights       what they ask for by right, with its clock
profiles     address and name      restriction  kept, and nothing else done with it (Art. 18 GDPR)
directory    who is there          erasure      gone on their word (Art. 17 GDPR)
history      their events          reapplying   endings that a restored database has lost
letters      what became of theirs pauses       no letters for some weeks
never_list   the never-mail list   holding      a person's row is held, in the lock order of the house
"""
