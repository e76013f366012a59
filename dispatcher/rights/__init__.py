"""The rights of a person: dossier, export, rectification, as files that can be read and checked."""
