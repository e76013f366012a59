"""The five-minute demonstration and its mail catcher."""
