"""pacs-gateway: fills a research archive from a PACS, lawfully: RIS row -> accession number -> C-FIND -> C-MOVE -> clean file."""

__version__ = "0.1.0"
