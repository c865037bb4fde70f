"""Who we are to an S3 server, from a file as the AWS tools write it."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field

from gateway.errors import Fatal


@dataclass(frozen=True)
class Credentials:
    """`session_token`: "" for what does not run out."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False, default="")


def read_credentials(text: str) -> Credentials:
    """Raises Fatal("s3.credentials"), which quotes nothing."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        section = parser["default"]
        key, secret = section["aws_access_key_id"], section["aws_secret_access_key"]
    except (configparser.Error, KeyError):
        told = "credentials_file needs a section [default] with aws_access_key_id and aws_secret_access_key"
        raise Fatal("s3.credentials", told) from None
    token = section.get("aws_session_token", "")
    if not (key and secret and all(map(_fits, (key, secret, token)))):
        told = "credentials_file: a key of [default] is empty, or no ASCII text on one line; write it anew"
        raise Fatal("s3.credentials", told)
    return Credentials(key, secret, token)


def _fits(value: str) -> bool:
    """A header can hold it: what it cannot ends the thread that sends it (object_store 0.14 panics)."""
    return value.isascii() and value.isprintable()
