"""Our facts in the words of the NENA i3 logging service (NENA-STA-010, LogEvent types), where one of them fits.

Names only: an i3 LogEvent has fields of its own, and this is no i3 logging service. A kind that is not here has no counterpart.
"""

from __future__ import annotations

EVENTS = {
    "DaemonStarted": "ElementStateChangeLogEvent",
    "DaemonStopped": "ElementStateChangeLogEvent",
    "SwitchLost": "ElementStateChangeLogEvent",
    "SwitchRestored": "ElementStateChangeLogEvent",
    "GapEnded": "ElementStateChangeLogEvent",
    "FactsLost": "ElementStateChangeLogEvent",
    "LedgerTroubleBegan": "ElementStateChangeLogEvent",
    "LedgerTroubleEnded": "ElementStateChangeLogEvent",
    "PhoneChanged": "ElementStateChangeLogEvent",
    "EquipmentChecked": "ElementStateChangeLogEvent",
    "IncidentDeclared": "ServiceStateChangeLogEvent",
    "IncidentEnded": "ServiceStateChangeLogEvent",
    "CallArrived": "CallStartLogEvent",
    "CallEnded": "CallEndLogEvent",
    "CallQueued": "RouteLogEvent",
    "CallClassified": "RouteLogEvent",
    "CallUpgraded": "RouteLogEvent",
    "CallSentBack": "RouteLogEvent",
    "CallDiverted": "RouteLogEvent",
    "FallbackEntered": "RouteLogEvent",
    "CallAnswered": "CallStateChangeLogEvent",
    "CallConnected": "CallStateChangeLogEvent",
    "CallReturned": "CallStateChangeLogEvent",
    "CallHeld": "CallStateChangeLogEvent",
    "CallResumed": "CallStateChangeLogEvent",
    "FallbackConnected": "CallStateChangeLogEvent",
    "DiversionAnswered": "CallStateChangeLogEvent",
    "CallPassedOn": "CallTransferLogEvent",
    "CallTakenOver": "CallTransferLogEvent",
    "AnnouncementStarted": "AnnouncementStartLogEvent",
    "AnnouncementEnded": "AnnouncementEndLogEvent",
    "AgentSignedIn": "AgentStateChangeLogEvent",
    "AgentSignedOut": "AgentStateChangeLogEvent",
    "AgentBecameReady": "AgentStateChangeLogEvent",
    "AgentBecameNotReady": "AgentStateChangeLogEvent",
    "WrapUpStarted": "AgentStateChangeLogEvent",
    "WrapUpEnded": "AgentStateChangeLogEvent",
    "WrapUpBroken": "AgentStateChangeLogEvent",
    "CallbackOfferingSet": "QueueStateChangeLogEvent",
    "CallbackOfferingTurned": "QueueStateChangeLogEvent",
}
"""Kind of fact -> type of LogEvent."""
