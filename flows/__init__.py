"""Prefect runs the stages; it holds no logic of its own.

Nothing is sent to anyone: both tools' telemetry is off unless the environment says otherwise. It is set here because
Prefect reads its settings when it is first imported.
"""

import os

for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
}.items():
    os.environ.setdefault(_variable, _value)
