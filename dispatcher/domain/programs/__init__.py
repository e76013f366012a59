"""What programs of others may do here and are told: keys of the API and answers that are kept for requests that come
twice; endpoints of webhooks, what they are to be told (`outbox`), and the messages on their way."""
