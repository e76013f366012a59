"""A frozen audience on its way: batches that workers claim, who is left in each, and the transaction at the gate.

batches     made, claimed, given back, done        passage   the gate: the promise of the house in one function
recipients  who of a claimed batch is to be served poison    batches that their holders do not survive
workers     which worker processes live, and what they say of the relays
"""
