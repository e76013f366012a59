"""The rules: addresses, consent, campaigns, deliveries. Callers begin transactions; nothing here commits."""
