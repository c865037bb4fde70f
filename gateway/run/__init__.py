"""Run: the command line, and the daemon's life.

Takes:      a configuration file, signals, commands.
Leaves:     a running daemon (`daemon`), its child processes (`children`; `receive`, `screen`), one loop per role (`worker`), what a
            person decided about held instances (`deciding`).
Settings:   all of them; read here and handed on in parts by what joins the rooms (`wiring`, `receiving`, `moving`, `delivering`,
            `rounds`).
Metrics:    worker_errors_total, build_info.
Fails how:  exit codes 0, 1, 2, 3 as in README.md; no traceback ever.
Standard:   sd_notify(3), daemon(7).
"""
