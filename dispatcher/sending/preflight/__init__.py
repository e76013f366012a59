"""Preflight: everything that can be found out about a campaign before it goes, for command line, console and API alike.
A gate and not a hint: what stops it has to be mended, or somebody answers for it by name.
"""
