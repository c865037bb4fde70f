"""Goes on counting for a second after it was told to end, more than the pipe holds at once."""

import time

from gateway.ops.metrics import RemoteCount
from gateway.run.process import begin

begun = begin()
count = RemoteCount(begun.pipe)
begun.ready()
begun.stop.wait()
for _ in range(2000):
    count.add("received_bytes_total", 1, project="chest")
    time.sleep(0.0005)
