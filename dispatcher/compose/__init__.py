"""From content to bytes on the wire. Knows no database."""
