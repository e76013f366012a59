"""The rules: people and their consent, newsletters, deliveries. Callers begin transactions; nothing here commits.

consent, suppression   who may be written to: the two that everything rests on; coverage, declarations, wording,
                       resting: in which words
proof                  the ledger of consent as a chain that can be verified
people                 a person's whole life           newsletters  a campaign from draft to its last figure
audience               whom a campaign goes to         delivery     batches, and the gate
ledger, folding        what became of each letter      rates        how fast
endings                what must outlive a restore     retention    what has had its time goes; periods: when
imports, exports       people as files; uploads, suppression_files, spreadsheets
staff                  accounts, roles, audit log      programs     API keys, webhooks
address_hashes, versions, typed                        for whoever reads files, too: they know no database
addresses, tokens, vault, zones                        the ground: they know nobody here
"""
