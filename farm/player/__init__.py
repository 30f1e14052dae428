"""`reelyard play`: a recording's folder on 127.0.0.1 and a page that plays it."""
