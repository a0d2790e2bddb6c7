"""Byte streams: TLS, WebSocket, HTTP proxy, HTTPS, trusted root certificates."""
