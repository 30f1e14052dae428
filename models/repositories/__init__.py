"""The only doors to the tables. Functions take an open session first, never commit, and know only the database's time."""
