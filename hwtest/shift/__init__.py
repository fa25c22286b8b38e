"""A shift: agents at real SIP phones and a public that calls, so that one sees the whole at work."""
