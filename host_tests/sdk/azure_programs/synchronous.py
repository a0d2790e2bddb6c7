import os
import time

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse, exceptions


def main():
    conn_str = os.getenv("IOTHUB_DEVICE_CONNECTION_STRING")
    client = IoTHubDeviceClient.create_from_connection_string(conn_str)
    received = []

    def message_handler(message):
        received.append(message.data.decode())

    client.on_message_received = message_handler
    client.connect()
    for i in range(3):
        client.send_message(Message("reading " + str(i)))
        time.sleep(0.2)
    client.patch_twin_reported_properties({"synchronous": True})
    print(client.get_twin()["reported"]["synchronous"])
    print("READY")
    while not received:
        time.sleep(0.1)
    print(received[0])
    print(client.connected)
    client.shutdown()
    print(client.connected, MethodResponse is not None, exceptions.ClientError is not None)


if __name__ == "__main__":
    main()
