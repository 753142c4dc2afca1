"""The files of deploy/ say the same as the server and as each other."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from serving import settings
from serving.config import DEFAULT_PORT, ServerConfig
from serving.health_check import main as health_check
from serving.options import OPTIONS

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
GRPC, METRICS, WYOMING = DEFAULT_PORT, 9464, 10400
USER = 10001
FLAGS = {option.flag: option for option in OPTIONS}


def load(name: str) -> list[Any]:
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text("utf-8")))


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and what they say, in order."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def said(instruction: str) -> list[str]:
    return [rest for word, rest in dockerfile() if word == instruction]


def unit() -> dict[str, list[str]]:
    """The [Service] section of the systemd unit; keys may come several times."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "nanowakeword.service").read_text("utf-8"))
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    keys: dict[str, list[str]] = {}
    for line in text.partition("[Service]")[2].partition("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            keys.setdefault(key, []).append(value)
    assert set(keys) == set(parser["Service"])
    return keys


def compose() -> dict[str, Any]:
    (content,) = load("compose.yaml")
    return dict(content)


def pod() -> Any:
    (deployment,) = (one for one in load("kubernetes.yaml") if one["kind"] == "Deployment")
    return deployment["spec"]["template"]["spec"]


def container() -> Any:
    (only,) = pod()["containers"]
    return only


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Arguments of each server that is started somewhere."""
    (default,) = said("CMD")
    yield "Dockerfile", json.loads(default)
    for name, service in compose()["services"].items():
        yield f"compose {name}", service["command"]
    yield "kubernetes", container()["args"]
    (line,) = unit()["ExecStart"]
    yield "systemd", shlex.split(line)[3:]
    for number, text in enumerate(re.findall(r"python -m serving (--.*)", (DEPLOY / "README.md").read_text("utf-8"))):
        yield f"README {number}", [] if text.startswith("--help`") else shlex.split(text)


LINES = dict(command_lines())


def values(arguments: list[str]) -> dict[str, str]:
    """Flags and their values; the empty text for a switch."""
    found, rest = {}, list(arguments)
    while rest:
        name, assigned, value = rest.pop(0).partition("=")
        assert name in FLAGS, f"{name} is no flag of the server"
        if not assigned and not FLAGS[name].is_switch:
            value = rest.pop(0)
        found[name] = value
    return found


@pytest.mark.parametrize("where", LINES)
def test_the_server_takes_these_arguments(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are flags with values that it takes; files that are elsewhere count as read."""
    given = values(LINES[where])
    monkeypatch.setattr("serving.checks._files", lambda _: iter(()))
    config = settings.parse([*LINES[where], *(() if "--model-dir" in given else ("--model", "m"))], environment={})
    assert isinstance(config, ServerConfig)


@pytest.mark.parametrize("where", LINES)
def test_what_others_reach_is_closed(where: str) -> None:
    given = values(LINES[where])
    if "--host" in given:
        assert given["--host"] == "0.0.0.0"  # noqa: S104
        assert {"--ssl-certfile", "--ssl-keyfile", "--api-key-file"} <= set(given)
    # Only what has no passwords is opened by this flag.
    if "--insecure" in given:
        open_doors = [given.get(flag, "") for flag in ("--metrics", "--wyoming")]
        assert any("0.0.0.0" in door for door in open_doors)  # noqa: S104


def test_the_ports_agree() -> None:
    assert {values(line).get("--port", str(GRPC)) for line in LINES.values()} == {str(GRPC)}
    assert {line.rpartition(":")[2] for line in _given("--metrics")} == {str(METRICS)}
    assert {line.rpartition(":")[2] for line in _given("--wyoming")} == {str(WYOMING)}
    assert said("EXPOSE") == [f"{GRPC} {METRICS} {WYOMING}"]
    services = compose()["services"]
    assert services["server"]["ports"] == [f"{GRPC}:{GRPC}"]
    assert services["wyoming"]["ports"] == [f"{WYOMING}:{WYOMING}"]
    assert {port["name"]: port["containerPort"] for port in container()["ports"]} == {"grpc": GRPC, "metrics": METRICS}
    (service,) = (one for one in load("kubernetes.yaml") if one["kind"] == "Service")
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(GRPC, "grpc")]
    assert f"port_value: {GRPC}" in (DEPLOY / "envoy.yaml").read_text("utf-8")
    assert f"server 127.0.0.1:{GRPC}" in (DEPLOY / "nginx.conf").read_text("utf-8")
    table = re.findall(r"^\| (\d+) \|", (DEPLOY / "README.md").read_text("utf-8"), re.MULTILINE)
    assert table == [str(GRPC), str(METRICS), str(WYOMING)]


def _given(flag: str) -> list[str]:
    return [given[flag] for given in map(values, LINES.values()) if flag in given]


def test_images_have_versions() -> None:
    images = [*said("FROM"), *(service["image"] for service in compose()["services"].values()), container()["image"]]
    for image in images:
        name, _, version = image.partition(" AS ")[0].rpartition(":")
        assert name, f"{image} has no version"
        assert re.match(r"\d+\.\d+\.\d+", version), image
    version = re.search(r'^version = "(.+)"$', (REPOSITORY / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert version
    assert {image.rpartition(":")[2] for image in images[2:]} == {version[1]}


def test_nobody_is_root() -> None:
    steps = [word for word, _ in dockerfile()]
    assert said("USER") == [f"{USER}:{USER}"]
    assert steps.index("USER") > max(number for number, word in enumerate(steps) if word in ("RUN", "COPY"))
    assert {service["user"] for service in compose()["services"].values()} == {f"{USER}:{USER}"}
    security = pod()["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, USER, USER)
    assert unit()["User"] == ["nanowakeword"]


def test_nothing_is_writable_and_nothing_more_is_allowed() -> None:
    for service in compose()["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(volume.endswith(":ro") for volume in service["volumes"])
    security = container()["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod()["automountServiceAccountToken"] is False
    writable = {mount["name"] for mount in container()["volumeMounts"] if not mount.get("readOnly")}
    assert writable == {"tmp"}
    keys = unit()
    for key, value in {"ProtectSystem": "strict", "NoNewPrivileges": "yes", "CapabilityBoundingSet": ""}.items():
        assert keys[key] == [value]


def test_the_image_has_no_secrets() -> None:
    copied = [source for line in said("COPY") if "--from" not in line for source in line.split()[:-1]]
    copied = [source.removeprefix("./") for source in copied]
    assert set(copied) == {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "nanowakeword", "serving"}
    assert not said("ARG")
    assert not [line for line in said("ENV") if re.search("KEY|TOKEN|SECRET|PASSWORD", line)]
    ignored = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    assert {line.lstrip("!") for line in ignored if line.startswith("!")} == set(copied)


def test_nobody_is_told_what_runs() -> None:
    """ONNX Runtime has telemetry of its own, on unless this variable is set."""
    assert "ORT_DISABLE_TELEMETRY=1" in said("ENV")[0].split()
    assert "ORT_DISABLE_TELEMETRY=1" in unit()["Environment"]


def test_secrets_that_are_mounted_are_those_that_are_used() -> None:
    server = compose()["services"]["server"]
    mounted = {f"/run/secrets/{name}" for name in server["secrets"]}
    given = values(server["command"])
    assert {given[flag] for flag in ("--ssl-certfile", "--ssl-keyfile", "--api-key-file")} == mounted
    assert set(server["secrets"]) == set(compose()["secrets"])
    folders = {mount["mountPath"] for mount in container()["volumeMounts"]}
    for flag in ("--ssl-certfile", "--ssl-keyfile", "--api-key-file", "--model-dir"):
        path = values(container()["args"])[flag]
        assert path in folders or str(Path(path).parent) in folders
    for volume in pod()["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] == 0o440, "what the server accepts of its private files"


def test_there_is_time_to_drain() -> None:
    drains_s = {where: float(values(line).get("--drain-s", "5")) for where, line in LINES.items()}
    assert pod()["terminationGracePeriodSeconds"] > drains_s["kubernetes"] + 5
    assert float(unit()["TimeoutStopSec"][0]) > drains_s["systemd"] + 5
    for name, service in compose()["services"].items():
        assert float(service["stop_grace_period"].rstrip("s")) > drains_s[f"compose {name}"] + 5


def probes() -> dict[str, list[str]]:
    found = {
        "Dockerfile": json.loads(said("HEALTHCHECK")[0].partition("CMD ")[2]),
        "compose": compose()["services"]["server"]["healthcheck"]["test"][1:],
    }
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        found[kind] = container()[kind]["exec"]["command"]
    return found


@pytest.mark.parametrize("where", probes())
def test_probes_are_understood(where: str, tmp_path: Path) -> None:
    """Nobody listens there: what fails is the call, and not the reading of the arguments."""
    program, *arguments = probes()[where]
    assert (program, arguments[:2]) == ("python", ["-m", "serving.health_check"])
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(b"")
    assert arguments[2] == f"127.0.0.1:{GRPC}"
    there = re.sub(r"--ssl-ca-certs=\S+", f"--ssl-ca-certs={certificate}", " ".join(["127.0.0.1:1", *arguments[3:]]))
    assert health_check(there.split()) == 1


def test_the_proxies_let_streams_live() -> None:
    (envoy,) = load("envoy.yaml")
    (listener,) = envoy["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    assert route["timeout"] == "0s"
    idle_s = ServerConfig.idle_timeout_s
    assert float(manager["stream_idle_timeout"].rstrip("s")) > idle_s
    assert manager["use_remote_address"] is True
    (cluster,) = envoy["static_resources"]["clusters"]
    assert "http2_protocol_options" in str(cluster["typed_extension_protocol_options"])
    nginx = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert "grpc_read_timeout 1d;" in nginx
    assert "client_max_body_size 0;" in nginx
    assert "grpc_set_header X-Forwarded-For $remote_addr;" in nginx
    waits_s = re.search(r"client_body_timeout (\d+)s;", nginx)
    assert waits_s
    assert float(waits_s[1]) > idle_s


def test_proxies_go_with_a_server_that_trusts_them() -> None:
    (given,) = (values(line) for line in LINES.values() if "--trusted-proxies" in line)
    assert given["--trusted-proxies"] == "127.0.0.1"
    for name in ("envoy.yaml", "nginx.conf"):
        assert "--trusted-proxies 127.0.0.1" in (DEPLOY / name).read_text("utf-8")


def test_the_readme_names_files_that_are_there() -> None:
    text = (DEPLOY / "README.md").read_text("utf-8")
    named = {*re.findall(r"\]\(([^)]+)\)", text), *re.findall(r"`?(deploy/[\w.]+\.\w+)", text)}
    assert named
    for path in named:
        assert (DEPLOY / path).exists() or (REPOSITORY / path).exists(), path
    assert {f"{option}" for option in re.findall(r"`(--[\w-]+)", text)} <= {*FLAGS, "--help", "--config"}
