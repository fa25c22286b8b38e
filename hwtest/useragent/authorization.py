"""Answers to the challenges that one request meets on its way: a proxy's (407), and the server's behind it (401). Pure."""

from __future__ import annotations

from hwtest.useragent import wire
from hwtest.useragent.wire import Credentials, Header, Response, SipError

CHALLENGES = frozenset({401, 407})
_MOST = 4
"""So many are answered at the most: who asks again and again is not satisfied by what we know."""


class Authorization:
    """What has been asked for one request. Nobody is answered twice, unless only the nonce was too old (`stale`)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._asked: dict[tuple[str, str], str] = {}
        """The challenge, by the header that answers it and its realm."""
        self._uses: dict[str, int] = {}
        """How often each challenge was answered: the server counts (RFC 7616 §3.4)."""
        self._answered = 0

    def takes(self, response: Response) -> bool:
        """Whether this is a challenge to which there is an answer that was not given before."""
        if response.status not in CHALLENGES or self._answered >= _MOST:
            return False
        try:
            name, challenge = wire.challenge_of(response)
        except SipError:
            return False
        key = name, wire.challenge_parameter(challenge, "realm")
        if key in self._asked and wire.challenge_parameter(challenge, "stale").lower() != "true":
            return False
        self._asked[key] = challenge
        self._answered += 1
        return True

    def headers(self, method: str, uri: str) -> list[Header]:
        """For the request as it is sent now."""
        made = list[Header]()
        for (name, _), challenge in self._asked.items():
            self._uses[challenge] = count = self._uses.get(challenge, 0) + 1
            made.append((name, wire.digest(challenge, method, uri, self._credentials, count=count)))
        return made
