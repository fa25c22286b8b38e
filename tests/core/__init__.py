"""The engine, played through scenarios and proved by properties."""
