"""The measurement: whole campaigns through the whole path, against a bare load generator beside them."""
