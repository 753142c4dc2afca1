"""Opus and FLAC: what was encoded is heard, however it is cut, and what is neither is refused."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serving.codecs
import serving.flac
from nanowakeword.arrays import Samples
from nanowakeword.graph import Graph
from nanowakeword.stream import DetectionStream
from nanowakeword.timing import HOP_S
from nanowakeword.v1 import wakeword_pb2 as pb
from serving.codecs import Decoder, make_decoder
from serving.errors import CodecError
from tests.serving.encoded import flac_frames, flac_stream, opus_packets
from tests.serving.running import RunningServer
from tests.tiny_model import silence, tone

OPUS, FLAC = pb.AUDIO_ENCODING_OPUS, pb.AUDIO_ENCODING_FLAC
# Speech-like enough to make frames of many kinds: noise, digital silence, a tone.
SAMPLES: Samples = np.concatenate(
    [np.random.default_rng(5).normal(0, 900, 6_000).astype(np.int16), silence(0.7), tone(0.5)]
)
STREAM = flac_stream(SAMPLES)


def begin(encoding: pb.AudioEncoding, **settings: Any) -> pb.DetectRequest:
    return pb.DetectRequest(config=pb.DetectConfig(encoding=encoding, **settings))


def opus(data: bytes) -> pb.DetectRequest:
    return pb.DetectRequest(audio=pb.AudioChunk(opus_packet=data))


def flac(data: bytes) -> pb.DetectRequest:
    return pb.DetectRequest(audio=pb.AudioChunk(flac=data))


def pcm(data: bytes) -> pb.DetectRequest:
    return pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=data))


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def decode(decoder: Decoder, parts: Iterator[bytes] | list[bytes]) -> Samples:
    samples = np.concatenate([decoder.decode(part) for part in parts])
    decoder.end()
    return samples


def spans(responses: list[pb.DetectResponse]) -> list[tuple[str, float]]:
    return [(one.model, one.start_s) for response in responses for one in response.detections]


@pytest.mark.parametrize("size", [3, 160, 1_500, 10**6])
def test_flac_cut_anywhere_is_the_recording_to_the_bit(size: int) -> None:
    np.testing.assert_array_equal(decode(make_decoder(FLAC), cut(STREAM, size)), SAMPLES)


def test_a_flac_frame_is_heard_when_its_last_byte_is_there() -> None:
    """Nothing waits for the frame after it: that would be seconds with usual encoders."""
    header, frames = flac_frames(SAMPLES)
    decoder = make_decoder(FLAC)
    assert len(decoder.decode(header)) == 0
    heard = [len(decoder.decode(frame)) for frame in frames]
    assert set(heard[:-1]) == {1_152}
    assert sum(heard) == len(SAMPLES)


def test_other_metadata_of_flac_is_skipped() -> None:
    header, frames = flac_frames(SAMPLES)
    picture = b"\x06\x01\x00\x00" + bytes(65_536) + b"\x84\x00\x00\x03abc"
    stream = b"fLaC\x00" + header[5:] + picture + b"".join(frames)
    np.testing.assert_array_equal(decode(make_decoder(FLAC), cut(stream, 999)), SAMPLES)


def test_opus_is_nearly_the_recording() -> None:
    samples = decode(make_decoder(OPUS), opus_packets(tone(2.0)))
    assert len(samples) == pytest.approx(32_000, abs=700)
    middle = samples[8_000:24_000].astype(float)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(8_192 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("size", [700, 65_536])
def test_a_stream_of_flac_is_heard_as_samples_are(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples, size: int
) -> None:
    stream = DetectionStream(graphs["beep"])
    expected = [("beep", one.start_s) for one in stream.feed(recording) + stream.flush()]
    assert len(expected) == 3
    assert spans(server.talk([begin(FLAC), *map(flac, cut(flac_stream(recording), size))])) == expected


def test_a_stream_of_opus_is_heard_a_hop_later_at_most(
    server: RunningServer, graphs: dict[str, Graph], recording: Samples
) -> None:
    stream = DetectionStream(graphs["beep"])
    expected = [one.start_s for one in stream.feed(recording) + stream.flush()]
    heard = [start_s for _, start_s in spans(server.talk([begin(OPUS), *map(opus, opus_packets(recording))]))]
    assert len(heard) == len(expected)
    assert np.subtract(heard, expected) == pytest.approx(0.0, abs=HOP_S + 1e-9)


def test_long_messages_are_decoded_off_the_event_loop(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    real = serving.flac.FlacDecoder.decode

    def watched(self: Any, data: bytes) -> Samples:
        threads.append(threading.current_thread().name)
        return real(self, data)

    monkeypatch.setattr(serving.flac.FlacDecoder, "decode", watched)
    server.talk([begin(FLAC), flac(STREAM[:1_000]), flac(STREAM[1_000:])])
    assert threads[0] == "server loop"
    assert threads[1].startswith("codecs")


def test_the_server_tells_what_it_decodes(server: RunningServer) -> None:
    with server.stub() as stub:
        info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5.0)
    assert list(info.encodings) == [pb.AUDIO_ENCODING_PCM_S16LE, OPUS, FLAC]


@pytest.mark.parametrize("encoding", [OPUS, FLAC])
def test_without_the_extra_it_says_what_to_do(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch, encoding: pb.AudioEncoding
) -> None:
    monkeypatch.setattr(serving.codecs, "av", None)
    with pytest.raises(grpc.RpcError) as caught:
        server.talk([begin(encoding)])
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert 'pip install "nanowakeword[codecs]"' in caught.value.details()
    with server.stub() as stub:
        info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=5.0)
    assert list(info.encodings) == [pb.AUDIO_ENCODING_PCM_S16LE]


def damaged() -> bytes:
    header, frames = flac_frames(SAMPLES)
    broken = bytearray(frames[2])
    broken[len(broken) // 2] ^= 0x10
    return b"".join([header, *frames[:2], broken, *frames[3:]])


def large_blocks() -> bytes:
    header = bytearray(flac_frames(SAMPLES)[0])
    header[10:12] = (65_535).to_bytes(2, "big")
    return bytes(header)


STEREO = np.stack([SAMPLES, SAMPLES], axis=1)
BAD = {
    "samples for opus": (
        OPUS,
        [pb.DetectRequest(audio=pb.AudioChunk(pcm_s16le=b"ab"))],
        "got pcm_s16le; expected opus",
    ),
    "opus for samples": (pb.AUDIO_ENCODING_UNSPECIFIED, [opus(b"ab")], "got opus_packet; expected pcm_s16le"),
    "opus for flac": (FLAC, [opus(b"ab")], "got opus_packet; expected flac"),
    "no data": (OPUS, [pb.DetectRequest(audio=pb.AudioChunk())], "got nothing that this version knows; expected opus"),
    "empty packet": (OPUS, [opus(b"")], "an Opus packet without bytes"),
    "no packet": (OPUS, [opus(b"\xff" * 40)], "bytes that are no Opus packet; got 40 bytes"),
    "oversize": (OPUS, [opus(bytes(65_537))], "got 65537 bytes; expected at most 65536"),
    "no flac": (FLAC, [flac(b"RIFF____")], "it begins with b'RIFF'"),
    "no header": (FLAC, [flac(b"fLaC\x04\x00\x00\x05hello")], "without its header"),
    "44.1 kHz": (FLAC, [flac(flac_stream(SAMPLES, rate_hz=44_100)[:999])], "got 44100 Hz, 1 channels, 16 bits"),
    "stereo": (FLAC, [flac(flac_stream(STEREO)[:999])], "got 16000 Hz, 2 channels, 16 bits"),
    "24 bits": (FLAC, [flac(flac_stream(SAMPLES, subtype="PCM_24")[:999])], "got 16000 Hz, 1 channels, 24 bits"),
    "large blocks": (FLAC, [flac(large_blocks())], "up to 65535 samples; expected at most 4608"),
    "damaged": (FLAC, [flac(damaged())], "FLAC"),
    "cut short": (FLAC, [flac(STREAM[:-5])], "cut short"),
    "header only": (FLAC, [flac(STREAM[:20])], "cut short"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_clear_status(server: RunningServer, name: str) -> None:
    encoding, requests, text = BAD[name]
    with pytest.raises(grpc.RpcError) as caught:
        server.talk([begin(encoding), *requests])
    error = caught.value
    assert (error.code(), text in error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, True), error.details()


def test_compressed_silence_is_not_hours_of_work() -> None:
    header, frames = flac_frames(np.zeros(1_152 * 400, np.int16))
    data = header + b"".join(frames)
    assert len(data) < 8_000, "one message, half a minute"
    with pytest.raises(CodecError, match="too much audio in one message; got more than 128 frames"):
        make_decoder(FLAC).decode(data)


def test_what_waits_for_its_frame_is_bounded() -> None:
    header, frames = flac_frames(SAMPLES)
    decoder = make_decoder(FLAC)
    decoder.decode(header)
    with pytest.raises(CodecError, match="does not decode"):
        decode(decoder, cut(frames[0][:100] + bytes(20_000), 1_000))


def test_starts_of_frames_that_are_none_are_not_tried_for_ever() -> None:
    header, frames = flac_frames(SAMPLES)
    decoder = make_decoder(FLAC)
    decoder.decode(header)
    with pytest.raises(CodecError, match="damaged FLAC"):
        decoder.decode(frames[0][:100] + frames[0][:2] * 4_000)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_an_error_or_nothing(data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from([FLAC, OPUS]))
    broken = bytearray(STREAM[:9_000] if encoding == FLAC else b"".join(PACKETS))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    decoder = make_decoder(encoding)
    with contextlib.suppress(CodecError):
        for part in cut(bytes(broken), data.draw(st.integers(50, 2_000))):
            samples = decoder.decode(part)
            assert samples.dtype == np.int16
            assert samples.ndim == 1
        decoder.end()


PACKETS = opus_packets(SAMPLES)


def test_another_stream_begins_anew(server: RunningServer, recording: Samples) -> None:
    """Nothing of a stream's decoder is left to the next one."""
    requests = [begin(FLAC), *map(flac, cut(flac_stream(recording), 5_000))]
    assert spans(server.talk(requests)) == spans(server.talk(requests))
