"""Media that says what it is: real H.264, VP8 and Opus whose pictures and sounds carry their user and their number.

What is drawn and sounded can be read back from a mixed recording, so that frames are counted and not guessed
(docs/reference/script.md).
"""
