"""A broker of queues on Qpid Proton, for Debian's python3: proton_broker.py PORT CERTIFICATE KEY

Any address is a queue. Each settlement is printed, so that a test can read what Proton understood.
"""

import collections
import sys

from proton import Endpoint, SSLDomain
from proton.handlers import MessagingHandler
from proton.reactor import Container


class Broker(MessagingHandler):
    def __init__(self, port, certificate, key):
        super().__init__(auto_accept=True, auto_settle=False, prefetch=50)
        self._where = port, certificate, key
        self._queues = collections.defaultdict(collections.deque)
        self._senders = collections.defaultdict(set)
        self._given = {}  # delivery tag: (address, message)
        self._count = 0

    def on_start(self, event):
        port, certificate, key = self._where
        domain = SSLDomain(SSLDomain.MODE_SERVER)
        domain.set_credentials(certificate, key, None)
        event.container.listen(f"amqps://127.0.0.1:{port}", ssl_domain=domain)
        print("ready", flush=True)

    def on_link_opening(self, event):
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        if link.is_sender:
            self._senders[link.source.address].add(link)

    def on_link_closing(self, event):
        for links in self._senders.values():
            links.discard(event.link)

    def on_disconnected(self, event):
        for links in self._senders.values():
            for link in [one for one in links if one.connection == event.connection]:
                links.discard(link)

    def on_message(self, event):
        print("message", event.link.target.address, repr(event.message.properties), flush=True)
        self._queues[event.link.target.address].append(event.message)
        self._dispatch(event.link.target.address)

    def on_sendable(self, event):
        self._dispatch(event.link.source.address)

    def _dispatch(self, address):
        queue = self._queues[address]
        for link in list(self._senders[address]):
            while queue and link.credit and link.state & Endpoint.REMOTE_ACTIVE:
                self._count += 1
                message = queue.popleft()
                delivery = link.send(message, tag=str(self._count))
                self._given[delivery.tag] = address, message

    def _outcome(self, name, event, again):
        address, message = self._given.pop(event.delivery.tag, (None, None))
        if message is not None:
            print(name, address, message.id, flush=True)
            if again:
                self._queues[address].appendleft(message)
        event.delivery.settle()
        if again:
            self._dispatch(address)

    def on_accepted(self, event):
        self._outcome("accepted", event, False)

    def on_rejected(self, event):
        self._outcome("rejected", event, False)

    def on_released(self, event):
        self._outcome("released", event, True)


Container(Broker(*sys.argv[1:])).run()
