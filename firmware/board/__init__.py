"""What only a board has: its settings, Wi-Fi and clock. Nothing in iothub imports this."""
