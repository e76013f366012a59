"""dispatcher: newsletters, sent only to those who agreed."""
