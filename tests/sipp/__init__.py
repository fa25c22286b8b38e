"""SIPp as an instrument, without a switch."""
