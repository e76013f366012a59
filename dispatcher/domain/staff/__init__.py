"""Who works here and what they may do.

    members       who has an account, in which role        invitations   links by which a password is set, once
    roles         what each role permits: the one table    sessions      who is logged in
    passwords     argon2id, and what a password stands     throttle      how often one may be wrong
    second_factor one-time codes, recovery codes           audit         what everybody did
    login         the steps from an address to a session

Entrances ask `roles.may` and nothing else. Numbers in the notes are those of OWASP ASVS 5.
"""
