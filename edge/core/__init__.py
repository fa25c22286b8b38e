"""The engine and its vocabulary. Pure: no asyncio, clock, randomness, logging or SQL (tests/architecture proves it)."""
