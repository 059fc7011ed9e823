"""The door: an OpenAI- and Anthropic-compatible server in front of suppliers, and its shell."""
