"""umqtt.simple on CPython, where pip cannot install it: the copy that `iothub umqtt` downloads."""

from iothub_tools import umqtt

MQTTClient = umqtt.load().MQTTClient
