"""One receive process: takes listener and page as descriptors, besides what every child process of the daemon gets.

It never looks at pixels, so it goes without what pydicom takes along wherever that is installed: numpy, Pillow and codecs, some
30 MiB a process, and code in C that what a peer sends has no business near.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import Final

PIXELS: Final = ("numpy", "PIL", "pylibjpeg", "openjpeg", "libjpeg", "rle", "jpeg_ls", "gdcm", "onnxruntime")


def main() -> int:
    sys.modules.update(dict.fromkeys(PIXELS))  # type: ignore[arg-type]  # None: an import of it fails (importlib)
    from gateway.cstore.page import Page
    from gateway.ops.metrics import RemoteCount
    from gateway.run import wiring
    from gateway.run.process import begin
    from gateway.run.receivers import processes

    begun = begin()
    listener = socket.socket(fileno=int(sys.argv[1]))
    page = Page(len(begun.settings.pacs), int(sys.argv[2]))
    ahead = partial(page.ahead, begun.place, processes(begun.settings.receiver))
    server = wiring.make_server(begun.settings, listener, RemoteCount(begun.pipe), page, begun.stop, ahead)
    begun.ready()
    server.serve(begun.stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
