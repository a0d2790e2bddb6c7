"""The host side: a local hub, a demo, and the small commands around a board."""
