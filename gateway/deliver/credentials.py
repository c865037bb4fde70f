"""Who we are to an S3 server, from a file as the AWS tools write it."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

from gateway.errors import Fatal

if TYPE_CHECKING:
    from obstore.store import S3Config


def read_credentials(text: str) -> S3Config:
    """Raises Fatal("s3.credentials"), which quotes nothing."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        section = parser["default"]
        found: S3Config = {
            "access_key_id": section["aws_access_key_id"],
            "secret_access_key": section["aws_secret_access_key"],
        }
    except (configparser.Error, KeyError):
        told = "credentials_file needs a section [default] with aws_access_key_id and aws_secret_access_key"
        raise Fatal("s3.credentials", told) from None
    if token := section.get("aws_session_token"):
        found["session_token"] = token
    return found
