"""A temporary folder of an outbox, in both interpreters."""

import binascii
import os


class Folder:
    """A folder that is removed at the end."""

    def __enter__(self):
        self.name = "queue-" + binascii.hexlify(os.urandom(6)).decode()
        self.path = "/tmp/" + self.name
        return self

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        os.system("rm -rf " + self.path)

    def put_file_in_its_place(self):
        with open(self.path, "wb"):
            pass

    def names(self):
        return sorted(os.listdir(self.path))

    def content(self, name):
        with open(self.path + "/" + name, "rb") as file:
            return file.read()

    def put(self, name, content):
        with open(self.path + "/" + name, "wb") as file:
            file.write(content)

    def full(self, name):
        """Make writes to this file fail, as on a full flash."""
        os.system("ln -s /dev/full " + self.path + "/" + name)
