"""A DNS server on loopback that answers from a table, or not at all."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer:
    """Answers for MX: `servers` by domain, as "10 mx.example.de."; [] is no answer, None is silence, else NXDOMAIN. For
    TXT: `texts` by name.
    """

    def __init__(self, servers: Mapping[str, list[str] | None], texts: Mapping[str, list[str]] | None = None) -> None:
        self.servers = dict(servers)
        self.texts = dict(texts or {})
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            with suppress(OSError):
                self._answer(dns.message.from_wire(data), client)

    def _answer(self, query: dns.message.Message, client: tuple[str, int]) -> None:
        name = query.question[0].name
        domain = name.to_text(omit_final_dot=True)
        self.asked.append(domain)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if query.question[0].rdtype == dns.rdatatype.TXT and domain in self.texts:
            quoted = [
                " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200)) for text in self.texts[domain]
            ]
            reply.answer.append(dns.rrset.from_text(name, 300, "IN", "TXT", *quoted))
        elif domain not in self.servers:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif (found := self.servers[domain]) is None:
            return
        elif found and query.question[0].rdtype == dns.rdatatype.MX:
            reply.answer.append(dns.rrset.from_text(name, 300, "IN", "MX", *found))
        self._socket.sendto(reply.to_wire(), client)


@contextmanager
def running_dns(
    servers: Mapping[str, list[str] | None], texts: Mapping[str, list[str]] | None = None
) -> Iterator[DnsServer]:
    """Run one."""
    server = DnsServer(servers, texts)
    server.start()
    try:
        yield server
    finally:
        server.end()
