"""What the adapter must be told: where the two links are and who we are there. Built by `edge.config`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskSettings:
    """Both links of one Asterisk. Passwords never show in a representation, so never in a log."""

    ari_url: str = "http://127.0.0.1:8088/"
    ari_user: str = "edge"
    ari_password: str = field(repr=False)
    ami_host: str = "127.0.0.1"
    ami_port: int = 5038
    ami_user: str = "edge"
    ami_password: str = field(repr=False)
    app: str = "edge101"
    """The Stasis application's name, as the generated dialplan has it."""
    prompts: str = "edge"
    """Folder of our prompts below Asterisk's sounds: the greeting `welcome` is `sound:edge/welcome`."""
    log_directory: str | None = "/var/log/asterisk"
    """Where the switch writes down by itself what becomes of calls; None: it does not."""
    alert_info: str = "<http://edge101.invalid/999>;info=999"
    """Alert-Info header (RFC 3261 20.4) of a 999's and of an upgraded 101's INVITE to a phone; "" for none."""
