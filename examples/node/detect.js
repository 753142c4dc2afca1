// Streams a recording to a NanoWakeword server and prints what it hears, one JSON object a line:
//
//     npm ci
//     node detect.js recording.wav                                  as fast as the server takes it
//     node detect.js recording.wav --real-time                      as a microphone would send it
//     node detect.js recording.wav --address kitchen.example:8765 --ca authority.pem
//
// The recording is WAV: 16-bit, mono, 16 kHz. An API key or a token is read from the file named by --api-key-file or
// --token-file, or from the environment (NANOWAKEWORD_API_KEY, NANOWAKEWORD_TOKEN), and never from the command line,
// which every program on this machine can see.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTOS = fileURLToPath(new URL("../../protos", import.meta.url));
const SAMPLE_RATE_HZ = 16_000;
const CHUNK_BYTES = 2_560; // 80 ms, one hop of the models
const CHUNK_MS = 80;
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\]):\d+$/;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    address: { type: "string", default: "127.0.0.1:8765" },
    model: { type: "string", multiple: true, default: [] }, // none: the server's default model
    threshold: { type: "string" }, // none: the model's own
    "real-time": { type: "boolean", default: false },
    ca: { type: "string" }, // PEM file of the authorities to trust; given, the connection is TLS
    cert: { type: "string" }, // PEM files of our own certificate and its key, for servers that ask for one
    key: { type: "string" },
    "api-key-file": { type: "string" },
    "token-file": { type: "string" },
  },
});

/** The samples of a WAV file, as the protocol carries them: 16-bit little-endian. */
function readWav(path) {
  const file = readFileSync(path);
  if (file.toString("latin1", 0, 4) !== "RIFF" || file.toString("latin1", 8, 12) !== "WAVE") {
    throw new Error(`${path} is no WAV file`);
  }
  let kind = "";
  for (let at = 12; at + 8 <= file.length; ) {
    const [name, size] = [file.toString("latin1", at, at + 4), file.readUInt32LE(at + 4)];
    if (name === "fmt ") {
      const [format, channels] = [file.readUInt16LE(at + 8), file.readUInt16LE(at + 10)];
      kind = `format ${format}, ${channels} channel(s), ${file.readUInt32LE(at + 12)} Hz, ${file.readUInt16LE(at + 22)} bits`;
    } else if (name === "data") {
      if (kind !== `format 1, 1 channel(s), ${SAMPLE_RATE_HZ} Hz, 16 bits`) {
        throw new Error(`${path}: got ${kind}; expected 16-bit PCM, mono, ${SAMPLE_RATE_HZ} Hz`);
      }
      const end = Math.min(at + 8 + size, file.length);
      return file.subarray(at + 8, end - ((end - at - 8) % 2));
    }
    at += 8 + size + (size % 2);
  }
  throw new Error(`${path} holds no audio`);
}

function secret(file, variable) {
  return (file ? readFileSync(file, "utf8").trim() : process.env[variable]) || undefined;
}

function connect() {
  const definition = loadSync("nanowakeword/v1/wakeword.proto", {
    includeDirs: [PROTOS],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const { WakeWordService } = grpc.loadPackageDefinition(definition).nanowakeword.v1;
  const read = (path) => (path ? readFileSync(path) : null);
  const tls = options.ca || options.cert;
  const credentials = tls
    ? grpc.credentials.createSsl(read(options.ca), read(options.key), read(options.cert))
    : grpc.credentials.createInsecure();
  return new WakeWordService(options.address, credentials, {
    // A dead connection is noticed after half a minute. The server allows a ping each ten seconds.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 10_000,
  });
}

function metadata() {
  const found = new grpc.Metadata();
  const key = secret(options["api-key-file"], "NANOWAKEWORD_API_KEY");
  const token = secret(options["token-file"], "NANOWAKEWORD_TOKEN");
  if ((key || token) && !options.ca && !options.cert && !LOOPBACK.test(options.address)) {
    throw new Error(`a key for ${options.address} would cross the network in the clear: give --ca`);
  }
  if (key) found.set("x-api-key", key);
  if (token) found.set("authorization", `Bearer ${token}`);
  return found;
}

async function detect(path) {
  const samples = readWav(path);
  const client = connect();
  const call = client.Detect(metadata());
  const ended = new Promise((resolve, reject) => call.on("end", resolve).on("error", reject));
  ended.catch(() => {}); // it may end before anybody waits for it
  call.on("data", ({ detections, warnings }) => {
    for (const detection of detections) console.log(JSON.stringify(detection));
    for (const { text } of warnings) console.error(`warning: ${text}`);
  });

  // Whatever goes wrong, `ended` tells; writing on would only wait for room that never comes.
  const send = async (request) => {
    if (!call.write(request)) await Promise.race([once(call, "drain"), ended]);
  };
  const threshold = options.threshold && { threshold: Number(options.threshold) };
  const names = options.model.length || !threshold ? options.model : [""];
  await send({ config: { models: names.map((name) => ({ name, ...threshold })) } });
  const began = performance.now();
  for (let at = 0, number = 0; at < samples.length; at += CHUNK_BYTES, number += 1) {
    const wait = began + number * CHUNK_MS - performance.now();
    if (options["real-time"] && wait > 0) await Promise.race([sleep(wait), ended]);
    await send({ audio: { sequence: number, pcm_s16le: samples.subarray(at, at + CHUNK_BYTES) } });
  }
  call.end();
  await ended;
  client.close();
}

try {
  if (positionals.length !== 1) throw new Error("expected one recording: node detect.js recording.wav");
  await detect(positionals[0]);
} catch (error) {
  // An error of gRPC: the name of its status, and what the server says.
  console.error(`error: ${error.details ? `${grpc.status[error.code]}: ${error.details}` : error.message}`);
  process.exit(1);
}
