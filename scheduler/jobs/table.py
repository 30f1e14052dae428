"""The ladder as a table: every rung as a course of calls and answers, to the second. The page prints it, a test walks it.

A line of a course is `second call uid answer`. Answers: a status of HTTP, with the contract's code where it matters
(`206/65`); `=4` is a 200 whose recording has status 4; `lost` is none at all. Calls go to the first domain unless the
line ends with `@2`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Line:
    at_s: int
    verb: str
    uid: str
    answer: str
    domain: int


@dataclass(frozen=True, slots=True)
class Row:
    rung: str
    course: str
    state: str
    cause: str = ""
    terms: dict[str, Any] = field(default_factory=dict)
    stop_s: int | None = None  # the caller's stop

    def lines(self) -> tuple[Line, ...]:
        return tuple(_line(text.split()) for text in self.course.strip().splitlines())


def _line(words: list[str]) -> Line:
    at_s, verb, uid, answer, *domain = words
    return Line(int(at_s), verb, uid, answer, int(domain[0].lstrip("@")) - 1 if domain else 0)


UP: Final = """
0 acquire main 200
0 start main 200
5 query main =5
"""
FARM: Final = {"farm": True}
TWO: Final = {"domains": 2}

ROWS: Final[tuple[Row, ...]] = (
    Row("start succeeds; confirmed by status 5; playlist asked for after 15 s; then every 60 s",
        UP + "20 query main =5\n80 query main =5\n140 query main =5", "running"),
    Row("status 4 confirms, too", "0 acquire main 200\n0 start main 200\n5 query main =4\n20 query main =5", "running"),
    Row("individual mode: the playlist after 1 min", UP + "65 query main =5\n125 query main =5", "running",
        terms={"mode": "individual"}),
    Row("no file yet after 15 s: its name is asked for again after 1 min",
        "0 acquire main 200\n0 start main 200\n5 query main =4\n20 query main =4\n80 query main =5", "running"),
    Row("not before its time", "7 acquire main 200\n7 start main 200\n12 query main =4", "running",
        terms={"not_before_ms": 7_000}),
    Row("start 50x: again after 3, 6, 9 s; then another UID with a new acquire",
        "0 acquire main 200\n0 start main 503\n3 start main 503\n9 start main 500/502\n18 start main 503\n"
        "18 acquire spare 200\n18 start spare 200\n23 query spare =4", "running"),
    Row("start 206/65 likewise", "0 acquire main 200\n0 start main 206/65\n3 start main 206/65\n9 start main 201\n14 query main =4",
        "running"),
    Row("201 is success", "0 acquire main 200\n0 start main 504\n3 start main 201\n8 query main =4", "running"),
    Row("start 40x is final", "0 acquire main 200\n0 start main 400/2", "failed", "refused"),
    Row("start 40x after a 50x, too", "0 acquire main 200\n0 start main 503\n3 start main 400/110", "failed", "refused"),
    Row("acquire 40x is final", "0 acquire main 401", "failed", "refused"),
    Row("404 on start is nobody's refusal (the contract has none): the same request again, which finds what it may have begun",
        "0 acquire main 200\n0 start main 404\n3 start main 201\n8 query main =4", "running"),
    Row("404 on start that stays", "0 acquire main 200\n0 start main 404\n3 start main 404\n9 start main 404\n18 start main 404",
        "failed", "refused"),
    Row("404 on start after 50x is one more of them", "0 acquire main 200\n0 start main 503\n3 start main 503\n9 start main 503\n18 start main 404\n"
        "18 acquire spare 200\n18 start spare 200\n23 query spare =4", "running"),
    Row("404 on acquire that stays", "0 acquire main 404\n3 acquire main 404\n9 acquire main 404\n18 acquire main 404", "failed", "refused"),
    Row("acquire 50x like start; the UIDs in turn", "0 acquire main 504\n3 acquire main 500/501\n9 acquire main 503\n18 acquire main 503\n"
        "18 acquire spare 200\n18 start spare 200\n23 query spare =4", "running"),
    Row("acquire over its peak (400/406) is no final refusal", "0 acquire main 400/406\n3 acquire main 200\n3 start main 200\n8 query main =4",
        "running"),
    Row("the rate limit (429) is no refusal", "0 acquire main 429\n3 acquire main 200\n3 start main 429\n6 start main 200\n11 query main =4",
        "running"),
    Row("the UID records elsewhere (400/53): the other UID", "0 acquire main 200\n0 start main 400/53\n0 acquire spare 200\n0 start spare 200\n"
        "5 query spare =4", "running"),
    Row("the resource ran out (400/433): a new one", "0 acquire main 200\n0 start main 400/433\n0 acquire main 200\n0 start main 200\n"
        "5 query main =4", "running"),
    Row("rounds are bounded", "0 acquire main 200\n0 start main 503\n3 start main 503\n9 start main 503\n18 start main 503\n"
        "18 acquire spare 400/406\n21 acquire spare 503\n27 acquire spare 503\n36 acquire spare 503\n36 start main 400/433\n36 acquire main 400/406\n"
        "39 acquire main 503\n45 acquire main 503\n54 acquire main 503", "failed", "rounds_used_up", terms={"max_rounds": 4}),
    Row("a start that was never answered is taken up again with its own resource before its UID is used anew",
        "0 acquire main 200\n0 start main 504\n3 start main 504\n9 start main 504\n18 start main 504\n"
        "18 acquire spare 200\n18 start spare 504\n21 start spare 504\n27 start spare 504\n36 start spare 504\n"
        "36 start main 201\n41 query main =5", "running"),
    Row("confirmation backs off, below maxIdleTime, until 90 s; then it is stopped, and the other UID starts",
        "0 acquire main 200\n0 start main 200\n5 query main =1\n10 query main =2\n20 query main =3\n40 query main =3\n70 query main =3\n"
        "90 query main =3\n90 stop main 200\n95 query main 404\n95 record main 404\n95 acquire spare 200\n95 start spare 200\n100 query spare =4",
        "running", terms={"max_idle_ms": 120_000}),
    Row("a short maxIdleTime keeps the back-off shorter", "0 acquire main 200\n0 start main 200\n5 query main =1\n10 query main =1\n"
        "17 query main =1\n24 query main =4", "running", terms={"max_idle_ms": 8_000}),
    Row("404 is asked again after 5, 10, 15 s; it had files, so it died: the other UID",
        UP + "20 query main 404\n25 query main 404\n35 query main 404\n50 query main 404\n50 record main 404\n"
        "50 acquire spare 200\n50 start spare 200\n55 query spare =4", "running"),
    Row("404 that does not stay", UP + "20 query main 404\n25 query main 404\n35 query main =5\n95 query main =5", "running"),
    Row("it had no files and stood for maxIdleTime: it was idle, and is not started again",
        "0 acquire main 200\n0 start main 200\n5 query main =4\n20 query main =4\n80 query main 404\n85 query main 404\n95 query main 404\n"
        "110 query main 404\n110 record main 404", "done", "idle"),
    Row("seen leaving: somebody ended it", UP + "20 query main =6\n25 query main 404\n25 record main 404", "done", "ended_elsewhere"),
    Row("exiting (400/501): somebody ended it", UP + "20 query main 400/501\n25 query main 400/501\n35 query main 404\n35 record main 404",
        "done", "ended_elsewhere"),
    Row("this farm's record says idle", UP + "20 query main 404\n25 query main 404\n35 query main 404\n50 query main 404\n50 record main =8:maxIdleTime",
        "done", "idle", terms=FARM),
    Row("this farm's record says stop", UP + "20 query main 404\n25 query main 404\n35 query main 404\n50 query main 404\n50 record main =8:stop",
        "done", "ended_elsewhere", terms=FARM),
    Row("this farm's record says it failed: the other UID", UP + "20 query main 404\n25 query main 404\n35 query main 404\n50 query main 404\n"
        "50 record main =20\n50 acquire spare 200\n50 start spare 200\n55 query spare =4", "running", terms=FARM),
    Row("this farm's record says it lives", UP + "20 query main 404\n25 query main 404\n35 query main 404\n50 query main 404\n50 record main =5\n"
        "110 query main =5", "running", terms=FARM),
    Row("main and spare in turn", UP + "20 query main =20\n20 record main =20\n20 acquire spare 200\n20 start spare 200\n25 query spare =5\n"
        "40 query spare =20\n40 record spare =20\n40 acquire main 200\n40 start main 200\n45 query main =4", "running", terms=FARM),
    Row("query 50x after 5, 10, 15, 30 s, then every 30 s: unknown, never started again",
        UP + "20 query main 504\n25 query main 500\n35 query main 503\n50 query main 503\n80 query main 503\n110 query main 503\n140 query main =5\n"
        "200 query main =5", "running"),
    Row("50x while it is confirmed is unknown, too", "0 acquire main 200\n0 start main 200\n5 query main 503\n10 query main 503\n20 query main 503\n"
        "35 query main 503\n65 query main 503\n95 query main =5", "running"),
    Row("a 50x between 404s begins the confirmation anew", UP + "20 query main 404\n25 query main 404\n35 query main 503\n40 query main 404\n"
        "45 query main 404\n55 query main 404\n70 query main 404\n70 record main 404\n70 acquire spare 200\n70 start spare 200\n75 query spare =4", "running"),
    Row("query 40x that stays so", UP + "20 query main 401\n25 query main 401\n35 query main 401\n50 query main 401\n50 stop main 401\n"
        "55 stop main 401\n65 stop main 401\n80 stop main 401", "failed", "query_refused"),
    Row("no answer: once more on the same domain after 1 s, then on the other after 3 s and 6 s",
        "0 acquire main lost\n1 acquire main lost\n4 acquire main lost @2\n10 acquire main 200 @2\n10 start main 200 @2\n15 query main =4 @2",
        "running", terms=TWO),
    Row("no answer four times counts as one 50x", "0 acquire main 200\n0 start main lost\n1 start main lost\n4 start main lost @2\n10 start main lost @2\n"
        "13 start main 200 @2\n18 query main =4 @2", "running", terms=TWO),
    Row("stop called", UP + "20 query main =5\n30 stop main 200\n35 query main =6\n40 query main =7\n50 query main 404\n50 record main =8:stop",
        "done", "stop_called", terms=FARM, stop_s=30),
    Row("a query after the stop says exiting (400/501)", UP + "20 query main =5\n30 stop main 200\n35 query main 400/501\n40 query main 400/501\n"
        "50 query main 404\n50 record main =8:stop", "done", "stop_called", terms=FARM, stop_s=30),
    Row("stop 50x after 3, 6, 9 s, and every 9 s", UP + "10 stop main 504\n13 stop main 504\n19 stop main 206/65\n28 stop main 504\n37 stop main 404\n"
        "42 query main 404\n52 query main 404\n67 query main 404\n67 record main 404", "done", "stop_called", stop_s=10),
    Row("stopped twice (400/49), nothing recorded (206/435)", UP + "10 stop main 400/49\n15 query main =4\n20 query main =4\n30 query main =4\n"
        "45 query main =4\n75 query main =4\n75 stop main 206/435\n80 query main 404\n80 record main 404", "done", "stop_called", stop_s=10),
    Row("stop called before its time", "", "done", "stop_called", terms={"not_before_ms": 60_000}, stop_s=5),
    Row("stop called while a start is not answered: it is repeated to learn the sid, and that is stopped",
        "0 acquire main 200\n0 start main 504\n3 start main 201\n3 stop main 200\n8 query main 404\n8 record main 404", "done", "stop_called", stop_s=1),
    Row("the same, and it never is answered", "0 acquire main 200\n0 start main 504\n3 start main 504\n9 start main 504\n18 start main 504",
        "failed", "start_unanswered", stop_s=1),
    Row("until a time", UP + "20 query main =5\n42 stop main 200\n47 query main 404\n47 record main 404", "done", "until_reached",
        terms={"until_ms": 42_000}),
    Row("for a length, from the sid", UP + "20 query main =5\n60 stop main 200\n65 query main 404\n65 record main 404", "done", "length_reached",
        terms={"for_ms": 60_000}),
    Row("the deadline of all", UP + "20 query main =5\n42 stop main 200\n47 query main 404\n47 record main 404", "failed", "deadline_passed",
        terms={"deadline_ms": 222_000}),
    Row("no recording within its bound", "0 acquire main 200\n0 start main 503\n3 start main 503\n9 start main 503\n18 start main 503\n"
        "18 acquire spare 200\n18 start spare 503\n21 start spare 400/433\n21 start main 400/433", "failed", "not_started_in_time",
        terms={"start_within_ms": 20_000}),
    Row("a stop that nothing proves", UP + "10 stop main 200\n15 query main 503\n20 query main 503\n30 query main 503\n45 query main 503\n75 query main 503\n"
        "105 query main 503\n135 query main 503\n165 query main 503", "failed", "stop_not_confirmed", stop_s=10),
)  # fmt: skip
