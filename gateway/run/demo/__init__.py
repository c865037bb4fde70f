"""`demo`: the main job on this machine, with a hospital made on the spot and nothing from outside.

Takes:      a folder of its own. Leaves in it: the hospital's files, an SQLite RIS, a configuration, the daemon's state, log
            and archive; nothing is left running.
Real:       the daemon, started as anybody would start it. Embedded: the PACS (gateway.dicom.qrscp, on loopback) and the RIS.
Fails how:  exit code 1 unless the archive holds exactly what the rules promise; BadConfiguration for a folder of others.

Inside: `images` (synthetic DICOM), `hospital` (which studies, which RIS rows, what is to be kept), `ris`, `site` (the folder),
`child` (the daemon), `progress`, `archive` (what came out), `summary`, and `play`, which runs all of it.
"""

from gateway.run.demo.play import demo

__all__ = ["demo"]
