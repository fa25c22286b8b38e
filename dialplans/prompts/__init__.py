"""Prompts: what is said stands in `manifest.toml`, and placeholders are spoken here until a force records its own."""

from dialplans.prompts.make import Made, PromptError, languages, make, make_all, texts

__all__ = ["Made", "PromptError", "languages", "make", "make_all", "texts"]
