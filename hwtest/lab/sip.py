"""The lab's own side of Asterisk: phones, trunks, lines for comparison, accounts for tools.

What serves calls is generated from the configuration (`dialplans.asterisk`) and included before it.
"""

from collections.abc import Iterable, Mapping

from dialplans.asterisk import generate
from edge.config import Configuration
from edge.core.model import PhoneKind
from hwtest.lab.ports import HOST, Ports

TOOL_USER = "hwtest"
PLAIN_QUEUE = "7001"
PLAIN_DIAL = "7002"
PLAIN_QUEUE_DEFAULTS = "7003"
PLAIN_QUEUE_FIRST = "7004"
"""The queue of `PLAIN_QUEUE` by app_queue's own priority, before everybody else there."""
CALLEE = "callee"
"""The trunk to public numbers."""
ANSWERS_AT_ONCE_SINCE = (20,)

# For a line whose callers are to cost no music: a class without files would be replaced by the default one, while a program that
# says nothing sends nothing.
_SILENT_MUSIC = """\
[lab-silent]
mode = custom
application = /bin/sleep 86400
"""

# docs/quirks/asterisk.md and ASTERISK.md say why. RTP bound to one address also keeps RTCP from asking a name server
# for the host's own name (res_rtp_asterisk), and direct_media would take the audio away from the switch.
_ENDPOINT = f"""\
type = endpoint
transport = lab
disallow = all
allow = ulaw,alaw
media_address = {HOST}
bind_rtp_to_media_address = yes
direct_media = no
ice_support = no
rtp_symmetric = yes
force_rport = yes
rewrite_contact = yes
dtmf_mode = rfc4733
"""


def files(
    configuration: Configuration,
    asterisk_version: str,
    ports: Ports,
    passwords: Mapping[str, str],
    tool_password: str,
) -> dict[str, str]:
    """File name to text for Asterisk's folder of configuration. `passwords`: by name of registered phone."""
    version = tuple(map(int, asterisk_version.split(".")))
    return {
        **generate(configuration, version),
        "extensions.conf": _including("extensions", _extensions(version)),
        "queues.conf": _including("queues", _queues(_phones_of_agents(configuration, passwords))),
        "musiconhold.conf": _including("musiconhold", _SILENT_MUSIC),
        "http.conf": _including("http"),
        "cel.conf": _including("cel"),
        "cel_custom.conf": _including("cel_custom"),
        "cdr.conf": _including("cdr"),
        "cdr_custom.conf": _including("cdr_custom"),
        "ari.conf": _including("ari", _ari_account(tool_password)),
        "manager.conf": _including("manager", _ami_account(tool_password)),
        "pjsip.conf": _including("pjsip-global", pjsip(configuration, ports, passwords)),
        "rtp.conf": f"[general]\nrtpstart = {ports.rtp.start}\nrtpend = {ports.rtp.stop - 1}\nicesupport = no\n",
    }


def registered_phones(configuration: Configuration) -> list[str]:
    """Names of the phones that register with the switch."""
    return [name for name, phone in configuration.phones.items() if phone.kind is PhoneKind.REGISTERED]


def _phones_of_agents(configuration: Configuration, phones: Iterable[str]) -> list[str]:
    """Those of them that are the usual phone of an agent who is no supervisor."""
    usual = {agent.phone for agent in configuration.agents.values() if not agent.supervisor}
    return [name for name in phones if name in usual]


def _including(name: str, own: str = "") -> str:
    return f"#include edge101-{name}.conf\n\n{own}"


def pjsip(configuration: Configuration, ports: Ports, passwords: Mapping[str, str]) -> str:
    """pjsip.conf: a phone is known by its user name, anybody else on this machine is the trunk."""
    usual = {agent.phone: number for number, agent in configuration.agents.items()}
    parts = [f"[lab]\ntype = transport\nprotocol = udp\nbind = {HOST}:{ports.sip}\n", _trunk(ports)]
    return "\n".join([*parts, *(_phone(name, word, usual.get(name)) for name, word in passwords.items())])


def _trunk(ports: Ports) -> str:
    return f"""\
[trunk]
{_ENDPOINT}context = lab-lines
identify_by = ip
trust_id_inbound = yes

[trunk]
type = identify
endpoint = trunk
match = {HOST}/32

[{CALLEE}]
{_ENDPOINT}context = lab-lines
identify_by = ip
aors = {CALLEE}

[{CALLEE}]
type = aor
contact = sip:{HOST}:{ports.callee}
qualify_frequency = 0
"""


def _phone(name: str, password: str, usual_agent: str | None) -> str:
    agent = f"set_var = EDGE_USUAL_AGENT={usual_agent}\n" if usual_agent else ""
    return f"""\
[{name}]
{_ENDPOINT}context = edge-phones
identify_by = username
auth = {name}
aors = {name}
device_state_busy_at = 1
set_var = EDGE_PHONE={name}
{agent}
[{name}]
type = auth
auth_type = userpass
username = {name}
password = {password}

[{name}]
type = aor
max_contacts = 1
remove_existing = yes
qualify_frequency = 0
"""


def _extensions(version: tuple[int, ...]) -> str:
    answer = "Answer(0,i)" if version >= ANSWERS_AT_ONCE_SINCE else "Answer()"
    return f"""\
; What a caller can dial: our lines, and four for comparison that know nothing of us.
[lab-lines]
include => edge-lines
exten => {PLAIN_QUEUE},1,{answer}
 same => n,Queue(lab-plain)
 same => n,Hangup()
exten => {PLAIN_DIAL},1,Dial(PJSIP/agent1,60)
 same => n,Hangup()
exten => {PLAIN_QUEUE_DEFAULTS},1,{answer}
 same => n,Queue(lab-plain-defaults)
 same => n,Hangup()
exten => {PLAIN_QUEUE_FIRST},1,{answer}
 same => n,Set(QUEUE_PRIO=10)
 same => n,Queue(lab-plain)
 same => n,Hangup()

; What an agent's phone can dial besides the codes: the lines, and public numbers.
[edge-phones](+)
include => lab-lines
include => lab-public

[edge-transfer](+)
include => lab-public

[lab-public]
exten => _0X.,1,Dial(PJSIP/${{FILTER(0-9,${{EXTEN}})}}@{CALLEE},60)
 same => n,GotoIf($["${{EDGE_CALL}}" != "" & "${{DIALSTATUS}}" != "ANSWER"]?edge-return,return,1)
 same => n,Hangup()
"""


def _queues(phones: Iterable[str]) -> str:
    members = "".join(f"member => PJSIP/{name}\n" for name in phones)
    return f"""\
; For comparison: the same phones behind nothing but app_queue.
[lab-plain]
strategy = rrmemory
timeout = 15
retry = 1
ringinuse = no
autofill = yes
wrapuptime = 0
joinempty = yes
leavewhenempty = no
{members}
; And with the times that app_queue has when nobody sets them (retry 5, timeout 15).
[lab-plain-defaults]
strategy = rrmemory
ringinuse = no
{members}"""


def _ari_account(password: str) -> str:
    return f"[{TOOL_USER}]\ntype = user\nread_only = no\npassword_format = plain\npassword = {password}\n"


def _ami_account(password: str) -> str:
    return (
        f"[{TOOL_USER}]\nsecret = {password}\ndeny = 0.0.0.0/0.0.0.0\npermit = 127.0.0.0/255.0.0.0\n"
        "writetimeout = 5000\nread = all\nwrite = all\n"
    )
