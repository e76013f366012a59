"""The ledger of consent as proof: events in a chain of hashes, its end, signed checkpoints, and what reads them again.

    chain         how an event is written out and hashed   checkpoints   where the chain ended, signed
    chain_head    the end of the chain, held to append     seal          the house's key that signs them
    consent_rows  events and subscriptions, many at once   movements     who agreed and who left, day by day

`verification` reads everything as it stands: events by `links` and `walk`, and what stands beside by `crosschecks`.
"""
