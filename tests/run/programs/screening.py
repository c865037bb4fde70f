"""As a screening process begins, with nothing to screen."""

from gateway.run import screen
from gateway.run.process import begin

refused = screen._stand_back()
begun = begin()
if not refused:
    begun.ready()
begun.stop.wait()
