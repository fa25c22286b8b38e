"""A whole switch in memory: for tests, for the seeded simulator, and for training without a telephone.

Four parts. `switch.py` is the truth: legs, phones, what is noted on a caller, the dead-man, the switch's own queue. `people.py`
are those who use it: callers, agents with moods, persons who are called back. `faults.py` says what goes wrong, and how often.
`pbx.py` is the adapter, `edge.ports.Pbx`, with a link that loses, doubles, delays and breaks. All of it lives on the running
loop's clock and draws from the dice that it is given: on a simulated clock one seed gives one course of events.
"""

from edge.pbx.simulated.faults import Faults, Injector
from edge.pbx.simulated.legs import AgentLeg, CallerLeg, PersonLeg
from edge.pbx.simulated.pbx import SimulatedPbx
from edge.pbx.simulated.people import Crowd
from edge.pbx.simulated.switch import Switch

__all__ = ["AgentLeg", "CallerLeg", "Crowd", "Faults", "Injector", "PersonLeg", "SimulatedPbx", "Switch"]
