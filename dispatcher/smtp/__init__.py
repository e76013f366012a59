"""The SMTP dialogue (RFC 5321). Knows no database."""
