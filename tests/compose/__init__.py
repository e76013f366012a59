"""Tests of composing: from a content file to the bytes on the wire."""
