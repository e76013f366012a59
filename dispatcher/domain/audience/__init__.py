"""Whom a campaign goes to: one SELECT (`audiences`), narrowed by a filter (`filters`; as SQL `narrowing`), frozen and
dealt out into batches (`dealing_out`), each reader's own clock minded if asked (`local_time`)."""
