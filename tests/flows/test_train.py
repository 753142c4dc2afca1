"""The flow: real Prefect over real DVC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import Dvc
from tests.flows.test_pipeline import ran

DIES_ONCE = """
import os, signal
from steps.stage import Context

def run(context: Context) -> None:
    if not context.checkpoints.exists():
        context.checkpoints.mkdir(parents=True)
        os.kill(os.getpid(), signal.SIGKILL)
    context.progress.update(3, 4, unit="things", note="on again")
    output = context.root / "output"
    output.mkdir()
    (output / "report.md").write_text("# The report")
"""
FAILS = """
from nanowakeword.errors import ConfigError

def run(context):
    with (context.root / "runs").open("a") as stream:
        stream.write("x")
    raise ConfigError("the thing", got=1, expected=2, hint="Do that")
"""

pytestmark = pytest.mark.usefixtures("prefect_server")


def artifacts(flow_run_id: Any) -> dict[str, Any]:
    """What a flow run told, by key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        return {artifact.key or "": artifact.data for artifact in client.read_artifacts(artifact_filter=chosen)}


def run_program(workspace: Path) -> subprocess.CompletedProcess[str]:
    """``python -m flows train`` on the tests' server."""
    from prefect.settings import PREFECT_API_URL

    command = [sys.executable, "-m", "flows", "train", "--workspace", str(workspace)]
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value() or ""}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_does_what_dvc_does(workspace: Path, dvc: Dvc) -> None:
    done = run_program(workspace)
    assert done.returncode == 0
    assert done.stdout == f"the model is in {workspace / 'output'}\n"
    assert (workspace / "artifacts" / "phrases" / "phrases.json").is_file()
    assert (workspace / "artifacts" / "corpus" / "recordings.jsonl").is_file()
    assert ran(dvc(workspace, "repro")) == []


def test_a_stage_that_died_is_tried_again(scripted: Callable[[str], Path]) -> None:
    from flows.train import train

    state = train(scripted(DIES_ONCE), return_state=True)
    assert state.is_completed()
    told = artifacts(state.state_details.flow_run_id)
    assert told["phrases"] == 100.0
    assert told["report"] == "# The report"
    assert '"stage": "phrases"' in told["stages"]


def test_an_error_of_the_users_is_told_once(scripted: Callable[[str], Path]) -> None:
    workspace = scripted(FAILS)
    done = run_program(workspace)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: the thing; got 1; expected 2. Do that"
    assert "Traceback" not in done.stderr
    assert (workspace / "runs").read_text() == "x"  # trying again would not mend it


def test_typos_stop_it_before_it_starts(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from flows.__main__ import main

    params = workspace / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("seed: 7", "sead: 7"), encoding="utf-8")
    assert main(["train", "--workspace", str(workspace)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {params}: 2 wrong settings\n")
    assert 'sead: unknown key; did you mean "seed"?' in error


def test_nothing_is_sent_to_anyone() -> None:
    program = (
        "import flows.train\n"
        "from prefect.settings import get_current_settings\n"
        "settings = get_current_settings()\n"
        "assert not settings.server.analytics_enabled\n"
        "assert not settings.telemetry.enable_resource_metrics\n"
        "from dvc.analytics import is_enabled\n"
        "assert not is_enabled()\n"
        "import os\n"
        "assert os.environ['DO_NOT_TRACK'] == '1'\n"
    )
    names = ("DO_NOT_TRACK", "DVC_NO_ANALYTICS", "DVC_TEST")
    environment = {
        key: value for key, value in os.environ.items() if key not in names and not key.startswith("PREFECT_")
    }
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_server_can_be_imported() -> None:
    """With a FastAPI that Prefect does not bear, this import fails and every flow with it."""
    import prefect.server.api.server

    assert callable(prefect.server.api.server.create_app)
