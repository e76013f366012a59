"""The engine: launch, gate, drain, sweep."""
