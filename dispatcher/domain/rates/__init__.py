"""How fast letters may go, and how fast they went.

providers        mailbox providers and their rates     slowdowns   what a provider's answers make of a rate
mailbox_domains  domains sorted by their mail servers  relay_days  a day's attempts, counted
paces            permits, over all processes           tempo       how fast a campaign went lately
"""
