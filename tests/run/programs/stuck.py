"""A screening whose step never comes back, and takes no notice of anything."""

import threading

from gateway.run import screen
from gateway.run.process import begin

screen.LONGEST = 1  # type: ignore[misc]
begun = begin()
begun.ready()
screen._bounded(lambda: threading.Event().wait(60))()
