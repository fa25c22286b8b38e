"""Reads a generated dialplan as Asterisk does, far enough to walk through it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_EXTENSION = re.compile(r"exten => ([^,]+),1,(.*)")
_NEXT = re.compile(r"same => n(?:\((\w+)\))?,(.*)")


@dataclass
class Step:
    """One priority."""

    label: str | None
    application: str
    arguments: str


@dataclass
class Context:
    """One context: its extensions and what it includes."""

    extensions: dict[str, list[Step]] = field(default_factory=dict)
    includes: list[str] = field(default_factory=list)


def read(text: str) -> dict[str, Context]:
    """All contexts of a dialplan."""
    contexts: dict[str, Context] = {}
    current, steps = Context(), list[Step]()
    for raw in text.splitlines():
        line = re.sub(r"\s*(?<!\\);.*$", "", raw).strip()
        if header := re.fullmatch(r"\[([\w-]+)\]", line):
            current = contexts.setdefault(header[1], Context())
        elif line.startswith("include => "):
            current.includes.append(line.removeprefix("include => "))
        elif first := _EXTENSION.fullmatch(line):
            steps = current.extensions.setdefault(first[1], [])
            steps.append(_step(None, first[2]))
        elif following := _NEXT.fullmatch(line):
            steps.append(_step(following[1], following[2]))
        else:
            assert not line or "=" in line, line
    return contexts


def _step(label: str | None, call: str) -> Step:
    application, _, rest = call.partition("(")
    assert rest.endswith(")"), call
    return Step(label, application, rest[:-1])


def extension(contexts: dict[str, Context], context: str, name: str) -> list[Step] | None:
    """The extension `name` of a context or of what it includes."""
    here = contexts[context]
    if name in here.extensions:
        return here.extensions[name]
    found = (extension(contexts, included, name) for included in here.includes)
    return next((steps for steps in found if steps is not None), None)


Place = tuple[str, str, int]


class Walk:
    """Every step that a channel can come to. `known`: conditions that hold for it, and the values of its variables."""

    def __init__(
        self, contexts: dict[str, Context], variables: dict[str, str], known: dict[str, bool]
    ) -> None:
        self._contexts, self._variables, self._known = contexts, variables, known
        self.seen: dict[Place, Step | None] = {}
        """None: the channel ran off the end of an extension, and Asterisk hangs it up."""

    def go(self, context: str, name: str, index: int = 0) -> None:
        """Go on from there."""
        place = (context, name, index)
        if place in self.seen:
            return
        steps = extension(self._contexts, context, name)
        assert steps is not None, f"{context},{name} does not exist"
        self.seen[place] = step = steps[index] if index < len(steps) else None
        if step:
            for target in self._next(step, place, steps):
                self.go(*target)

    def _next(self, step: Step, place: Place, steps: list[Step]) -> Iterator[Place]:
        context, name, index = place
        match step.application:
            case "Return" | "Hangup":
                return
            case "Goto":
                yield self._target(step.arguments, place, steps)
            case "GotoIf":
                condition, _, branches = step.arguments.partition("?")
                then, _, otherwise = branches.partition(":")
                holds = self._known.get(condition)
                if then and holds is not False:
                    yield self._target(then, place, steps)
                if otherwise and holds is not True:
                    yield self._target(otherwise, place, steps)
                elif holds is not True or not then:
                    yield context, name, index + 1
            case "Gosub":
                yield self._target(re.sub(r"\(.*", "", step.arguments), place, steps)
                yield context, name, index + 1
            case _:
                yield context, name, index + 1

    def _target(self, text: str, place: Place, steps: list[Step]) -> Place:
        for variable, value in self._variables.items():
            text = text.replace(f"${{{variable}}}", value)
        parts = text.split(",")
        if len(parts) == 1:
            return place[0], place[1], _labelled(steps, parts[0])
        context = place[0] if len(parts) == 2 else parts[0]
        if parts[-1] == "1":
            return context, parts[-2], 0
        there = extension(self._contexts, context, parts[-2])
        assert there is not None, f"{context},{parts[-2]} does not exist"
        return context, parts[-2], _labelled(there, parts[-1])


def _labelled(steps: list[Step], label: str) -> int:
    return next(index for index, step in enumerate(steps) if step.label == label)
