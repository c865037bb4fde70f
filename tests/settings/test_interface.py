"""The example of the interface is understood as a whole: all that is said against it is what later versions bring."""

from __future__ import annotations

from pathlib import Path

from tests.settings.configurations import mistakes, written

EXAMPLE = r'''
state_dir = "/var/lib/pacs-gateway"
database  = "sqlite"
node      = "gw1"
key_file  = "/etc/pacs-gateway/pseudonym.key"
[receiver]
ae_title  = "RESEARCH"
bind      = "0.0.0.0"
port      = 11112
processes = 2
peers     = [{ ae_title = "HOSPITALPACS", address = "10.1.2.0/24" }]
max_associations = 32
min_free_disk    = "5 GiB"
tls = { certificate = "/c", key = "/k", ca = "/a" }
[health]
socket = "/run/pacs-gateway/health.sock"
[metrics]
bind = "127.0.0.1"
port = 9110
[[pacs]]
name = "main"
ae_title = "HOSPITALPACS"
host = "10.1.2.3"
port = 104
query_model = "study"
retrieve    = "move"
max_moves   = 2
windows     = ["Mon-Fri 19:00-06:00", "Sat,Sun 00:00-24:00"]
max_rate    = "40 MiB/s"
response_timeout = "15m"
accession_forms  = ["{an}", "{an:0>10}"]
result_limit     = 0
tls = { ca = "/a", certificate = "/c", key = "/k" }
[[ris]]
name = "ris"
url  = "mssql+pymssql://reader@ris/db"
password_file = "/etc/pacs-gateway/ris.password"
[[project]]
name = "chest-ct"
pacs = ["main"]
[project.source]
ris      = "ris"
schedule = "*/5 * * * *"
query    = """select accession_number, patient_id, study_date, modality, changed_at
              from research_view where changed_at >= :since"""
cursor   = "changed_at"
overlap  = "2h"
recheck  = ["1h", "1d", "7d", "30d"]
fallback = ["patient-date"]
push   = true
opt_out = "select patient_id from opt_out"
[project.select]
study    = "'CT' in ModalitiesInStudy"
series   = "Modality == 'CT' and SeriesDescription =~~ '(?i)chest|thorax' and NumberOfSeriesRelatedInstances >= 20"
instance = "not ('SECONDARY' in ImageType) and BurnedInAnnotation != 'YES'"
[project.deidentify]
options  = ["retain-longitudinal-modified-dates", "retain-device-identity", "clean-descriptors", "clean-pixel-data"]
patient_id = "CHEST-{pseudonym}"
keep     = []
remove   = []
replace  = {}
[[project.deliver]]
type = "directory"
path = "/srv/research/chest-ct"
layout = "{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"
[[project.deliver]]
type = "dicom"
ae_title = "ARCHIVE"
host = "archive.example"
port = 104
tls = { ca = "/a" }
storage_commitment = true
[[project.deliver]]
type = "dicomweb"
url = "https://archive.example/dicomweb"
token_file = "/etc/pacs-gateway/token"
[[project.deliver]]
type = "s3"
url = "s3://bucket/prefix"
endpoint = "https://s3.example"
credentials_file = "credential:s3"
'''


def test_the_whole_interface_is_there(tmp_path: Path) -> None:
    assert mistakes(written(tmp_path, EXAMPLE)) == ()
