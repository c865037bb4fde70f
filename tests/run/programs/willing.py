"""Begins, is ready, and drains when told."""

from gateway.run.process import begin

begun = begin()
begun.ready()
begun.stop.wait()
