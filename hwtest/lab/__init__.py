"""The lab switch: a real Asterisk on loopback, without root (`hwtest lab`)."""
