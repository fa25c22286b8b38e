"""What the switch is given: generated dialplans and prompts."""
