"""Tests of hwtest's own SIP user agent."""
