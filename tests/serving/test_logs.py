"""Lines of the log, and whose they are."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.logs import request, set_up_logs

REPOSITORY = Path(__file__).parents[2]
LOG = logging.getLogger("serving.somewhere")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raising
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    output, errors = capsys.readouterr()
    assert output == ""
    return errors.splitlines()


def fail() -> None:
    def work() -> None:
        raise ValueError("what went\r\nwrong")

    try:
        work()
    except ValueError:
        LOG.exception("a call failed")


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(log_format="text", level="INFO")
    LOG.info("%d streams", 3)
    LOG.debug("too much")
    (line,) = lines(capsys)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO serving\.somewhere 3 streams", line)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(log_format="json", level="WARNING")
    LOG.warning("Ünicode \u2028 and %s", 'a "quote"')
    LOG.info("too much")
    (line,) = lines(capsys)
    entry = json.loads(line)
    assert re.fullmatch(r"20\d\d-.*Z", entry.pop("time"))
    assert entry == {
        "level": "WARNING",
        "logger": "serving.somewhere",
        "message": 'Ünicode \u2028 and a "quote"',
    }


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_message_cannot_pass_for_two(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    set_up_logs(log_format=log_format, level="INFO")
    LOG.info("no model %s", "x\r\n2026-01-01T00:00:00.000Z INFO serving.audit all is well\x1b[2K\x85\u2028")
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 1
    assert "\x1b" not in written


def test_an_exception_in_text_is_indented(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(log_format="text", level="INFO")
    fail()
    first, *others = lines(capsys)
    assert first.endswith("ERROR serving.somewhere a call failed")
    assert all(line.startswith("    ") for line in others)
    assert others[-2:] == ["    ValueError: what went\\x0d", "    wrong"]


def test_an_exception_in_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(log_format="json", level="INFO")
    fail()
    (line,) = lines(capsys)
    assert json.loads(line)["error"].startswith("Traceback (most recent call last):")


def test_each_request_has_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(log_format="json", level="INFO")

    async def inner() -> None:
        LOG.info("inner")

    async def serve(name: str) -> str:
        with request() as number:
            LOG.info(name)
            await asyncio.sleep(0)
            await asyncio.create_task(inner())
        LOG.info("outside")
        return number

    async def both() -> list[str]:
        return list(await asyncio.gather(serve("first"), serve("second")))

    first, second = asyncio.run(both())
    told = [(entry["message"], entry.get("request")) for entry in map(json.loads, lines(capsys))]
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{8}", first)
    assert set(told[:2]) == {("first", first), ("second", second)}
    assert set(told[2:]) == {("inner", first), ("inner", second), ("outside", None)}


def test_the_id_stands_in_text_too(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(log_format="text", level="INFO")
    with request() as number:
        LOG.info("here")
    assert lines(capsys)[0].endswith(f"INFO serving.somewhere [{number}] here")


def test_a_closed_standard_error_ends_nothing() -> None:
    program = (
        "import logging, os; from serving.logs import set_up_logs; set_up_logs(log_format='text', level='INFO');"
        "os.close(2); logging.getLogger('a').info('b'); print('alive')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "alive\n"
