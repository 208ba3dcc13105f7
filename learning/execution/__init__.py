"""Evidence of execution levers: what another value of a knob would have been worth (spec section 8)."""
