"""The timeline's only door: each track stays a partition of [0, head) into segments and holes.

It stays one by compare-and-set alone: on the track's head where something is appended, on a hole's row where something
is carved out of it. Whoever loses the race looks again. Neither lock nor exclusion constraint is needed, and PostgreSQL
(READ COMMITTED) and SQLite behave alike.

Who may commit what (fenced by range, never by the tenure's state; an ended tenure's spool may come back at any time):

1. A tenure is (sid, epoch, owner nonce), all three as in its row. Any other is refused for good: it is of a database
   that has since gone back in time.
2. It commits within its grant: from `from_90k` on, and up to `until_90k` where a cut was agreed.
3. Before the head, it may fill any hole that is owed or lost, for ever. A pause was nobody's to record. Where segments
   are already, its copy is one too many, `Covered`, as soon as a store has proven them; until then it is kept, for who
   reserved may die before the upload. So two tenures may make the same range (a standby; a successor that takes over
   from a node that drains): the first good copy of each slot counts, and no death costs a frame.
4. At or past the head, it appends unless it is superseded: a later tenure that captures has not ended, and it is a
   primary, or it is the writer and no cut was agreed with this tenure. So an isolated worker cannot get into the way of
   the one that took over; it is told to ask again, and once the head has passed its slice the slice fills a hole. And
   when all later tenures have ended, what an old spool holds past the head is appended: captured media is not lost.
   A finaliser captures nothing and supersedes nobody.

5. A jump past the head waits while another tenure that is live could still bring what lies between: a slice of its
   that overlaps the jumping one could no longer find its place.
6. For the same reason a piece of a slot (before or after a recorder's death) waits while another live tenure that has
   captured the slot from its start could bring the whole.

A grant that commits while an older tenure's append is in flight lets that one append through, as if it had come first;
`from_90k` of a grant is a lower bound, no promise about the head.

A jump past the head leaves a hole *owed* to the newest tenure that could fill it. A filled part of a hole stays as a
row of state `filled`, for the record; it counts as no hole.
"""

from models.repositories.timeline.abandonment import abandon, abandon_forsaken, drop, forsaken
from models.repositories.timeline.gaps import begins, gap, give_up
from models.repositories.timeline.reading import (
    head,
    is_begun,
    publishable,
    reach,
    reaches,
    rows,
    streams,
    tracks,
    unsent,
    uploaded,
)
from models.repositories.timeline.segments import Covered, Fenced, Reserved, known, reserve, stored

__all__ = [
    "Covered",
    "Fenced",
    "Reserved",
    "abandon",
    "abandon_forsaken",
    "begins",
    "drop",
    "forsaken",
    "gap",
    "give_up",
    "head",
    "is_begun",
    "known",
    "publishable",
    "reach",
    "reaches",
    "reserve",
    "rows",
    "stored",
    "streams",
    "tracks",
    "unsent",
    "uploaded",
]
