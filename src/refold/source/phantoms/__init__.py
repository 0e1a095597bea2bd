"""The parts of the phantoms of :mod:`refold.synthetic`: where phases lie, what they emit, how it is counted."""
