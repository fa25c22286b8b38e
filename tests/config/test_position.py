"""Lines of keys: what a message points at."""

import pytest

from edge.config.position import KeyPath, Positions

TEXT = '''\
# a comment
[site]
name = "x"

[queue.public]
skills = ["101"]
relax = [
  { after_seconds = 1, skills = [] },
]
text = """
name = "not a key"
"""
[line."a b"]
"number" = "1"
switch.ari.url = "u"
[[list]]
a = 1
[[list]]
a = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("site",), 2),
        (("site", "name"), 3),
        (("queue", "public", "relax", 0, "skills"), 7),
        (("queue", "public", "name"), 5),
        (("line", "a b", "number"), 14),
        (("line", "a b", "switch", "ari", "url"), 15),
        (("list", 1, "a"), 19),
        (("nothing",), 1),
    ],
)
def test_line_of_a_key(path: KeyPath, line: int) -> None:
    """A key has its own line, one inside an array or inline table that of its holder, an absent one its table's."""
    assert Positions(TEXT).line(path) == line
