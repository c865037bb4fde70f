"""Takes its settings and ends at once, badly."""

import sys

from gateway.run.process import begin

begin()
sys.exit(3)
