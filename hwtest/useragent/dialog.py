"""One side's view of a dialog (RFC 3261 §12), pure: it builds the requests we send inside it."""

import contextlib
import secrets
from dataclasses import dataclass, field

from hwtest.useragent.wire import (
    Address,
    Header,
    Message,
    Request,
    SipError,
    check_uri,
    destination,
    parse_address,
    split_list,
)

ALLOWED_METHODS = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, UPDATE, INFO, MESSAGE"


def new_tag() -> str:
    """A tag of 64 random bits (§19.3)."""
    return secrets.token_hex(8)


def routes_of(message: Message) -> list[str]:
    """The Record-Route values, in order."""
    return [route for value in message.headers_named("Record-Route") for route in split_list(value)]


def contact_uri(message: Message) -> str | None:
    """URI of the first Contact, the target of later requests."""
    contacts = [item for value in message.headers_named("Contact") for item in split_list(value)]
    return parse_address(contacts[0]).uri if contacts else None


@dataclass(slots=True)
class Dialog:
    """Names, target and route of one dialog. `local` and `remote` are whole From and To values.

    `way`: the URI by whose address the other side was reached first. Requests go there, too, where target or route has a name,
    which is never looked up, or an IPv6 address; they keep their request URI then, by which the other side knows the dialog.
    """

    call_id: str
    local: str
    local_tag: str
    remote: str
    target: str
    contact: str
    way: str = ""
    routes: list[str] = field(default_factory=list)
    sequence_number: int = 0
    remote_sequence_number: int = -1

    @classmethod
    def of_invite(cls, invite: Request, contact: str, way: str) -> "Dialog":
        """The callee's dialog (§12.1.1); SipError when its caller's Contact is no SIP URI."""
        tag = new_tag()
        dialog = cls(
            call_id=invite.call_id,
            local=f"{invite.required('To')};tag={tag}",
            local_tag=tag,
            remote=invite.required("From"),
            target=contact_uri(invite) or invite.from_address.uri,
            contact=contact,
            way=way,
            routes=routes_of(invite),
            remote_sequence_number=invite.cseq.number,
        )
        check_uri(dialog.target)
        check_uri(dialog.next_hop)
        return dialog

    @property
    def remote_address(self) -> Address:
        """The other side, parsed."""
        return parse_address(self.remote)

    @property
    def remote_tag(self) -> str:
        """The other side's tag; empty while the caller has heard nothing."""
        return self.remote_address.parameters.get("tag", "")

    @property
    def next_hop(self) -> str:
        """URI whose address the requests are sent to (loose routing, §12.2.1.1)."""
        hop = parse_address(self.routes[0]).uri if self.routes else self.target
        try:
            destination(hop)
        except SipError:
            return self.way or hop
        return hop

    def learn(self, response: Message) -> None:
        """Take the remote tag, route and target from a 2xx to the caller's INVITE (§12.1.2), unless it is no SIP URI."""
        self.remote = response.required("To")
        with contextlib.suppress(SipError):
            routes = routes_of(response)[::-1]
            for route in routes[:1]:
                check_uri(parse_address(route).uri)
            self.routes = routes
        with contextlib.suppress(SipError):
            self.retarget(response)

    def retarget(self, message: Message) -> None:
        """Take a new target from a target refresh: re-INVITE, UPDATE or a 2xx to them (§12.2).

        SipError, and the old target stays, when the new one is no SIP URI.
        """
        target = contact_uri(message)
        if target is not None:
            check_uri(target)
            self.target = target

    def accepts(self, request: Request) -> bool:
        """Whether `request` is newer than the last one of the other side, which it then is (§12.2.2)."""
        if request.cseq.number <= self.remote_sequence_number:
            return False
        self.remote_sequence_number = request.cseq.number
        return True

    def request(
        self,
        method: str,
        via: str,
        headers: list[Header] | None = None,
        body: bytes = b"",
        sequence_number: int | None = None,
    ) -> Request:
        """A request inside the dialog; it takes the next sequence number unless given one (an ACK)."""
        if sequence_number is None:
            self.sequence_number += 1
            sequence_number = self.sequence_number
        all_headers: list[Header] = [("Via", via), ("Max-Forwards", "70"), ("From", self.local)]
        all_headers += [("To", self.remote), ("Call-ID", self.call_id)]
        all_headers += [("CSeq", f"{sequence_number} {method}"), ("Contact", self.contact)]
        all_headers += [("Route", route) for route in self.routes]
        all_headers += headers or []
        return Request(all_headers, body, method, self.target)
