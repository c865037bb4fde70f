"""One receive process: takes the listener as a descriptor, besides what every child process of the daemon gets.

It never looks at pixels, so it goes without what pydicom takes along wherever that is installed: numpy, Pillow and codecs, some
30 MiB a process, and code in C that what a peer sends has no business near.
"""

from __future__ import annotations

import socket
import sys
from typing import Final

PIXELS: Final = ("numpy", "PIL", "pylibjpeg", "openjpeg", "libjpeg", "rle", "jpeg_ls", "gdcm", "onnxruntime")


def main() -> int:
    sys.modules.update(dict.fromkeys(PIXELS))  # type: ignore[arg-type]  # None: an import of it fails (importlib)
    from gateway.ops.metrics import RemoteCount
    from gateway.run import wiring
    from gateway.run.process import begin

    begun = begin()
    listener = socket.socket(fileno=int(sys.argv[1]))
    server = wiring.make_server(begun.settings, listener, RemoteCount(begun.pipe))
    begun.ready()
    server.serve(begun.stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
