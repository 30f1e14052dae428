"""The shapes on the wire. Liberal in: what is unknown or misplaced is accepted and reported. Strict out."""
