"""The zone in which the house counts days: a German sender's years end, pauses end and months run in Berlin."""

from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
