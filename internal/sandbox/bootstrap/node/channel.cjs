'use strict';
// The stream to Bastide, descriptor 3 (the frames are described in Go package runtimeapi). It is
// read and written with blocking calls: while it waits for an event this process has nothing to
// do, as an instance of Lambda's that is frozen between two events, and a blocking read is a
// third faster than an event loop's.
const fs = require('fs');

const FD = 3;
const HEADER = 9;
const CHUNK = 64 * 1024;

exports.KIND = { invoke: 0x49, yield: 0x59, waiting: 0x57, ready: 0x48, initError: 0x46, response: 0x52, error: 0x45, fatal: 0x58,
  head: 0x53, chunk: 0x43, end: 0x5a };
exports.MAX_PAYLOAD = 6 * 1024 * 1024 + 100;
const MAX_ERROR = 250 * 1024;

let input = Buffer.allocUnsafeSlow(CHUNK);
const output = Buffer.allocUnsafeSlow(CHUNK);

function readAtLeast(buffer, have, want) {
  while (have < want) {
    const n = fs.readSync(FD, buffer, have, buffer.length - have, null);
    if (n === 0) process.reallyExit(0); // Bastide closed the stream: this instance is over
    have += n;
  }
  return have;
}

function writeAll(buffer, length) {
  for (let at = 0; at < length;) at += fs.writeSync(FD, buffer, at, length - at);
}

exports.write = (buffer) => writeAll(buffer, buffer.length);

let later = false; // a writeLater is under way
let last = null; // what ends this process once that has ended

// writeLater writes without holding the event loop up: a stream's reader may be slow. One at a time.
exports.writeLater = function writeLater(buffer, callback) {
  if (last) return;
  later = true;
  let at = 0;
  const step = () => fs.write(FD, buffer, at, buffer.length - at, null, (error, n) => {
    at += n;
    if (!error && at < buffer.length) {
      step();
      return;
    }
    later = false;
    if (last) last();
    else callback(error);
  });
  step();
};

// atLast runs what ends this process, not in the middle of a frame.
exports.atLast = function atLast(end) {
  if (last) return;
  last = end;
  if (!later) end();
};

// yielding says that Bastide has asked to wait for events by the event loop: somebody in this process
// has work between them, such as an internal extension or a handler of SIGTERM.
let yielding = false;

// nextFrame waits for a frame; undefined says that waiting is the event loop's from now on. The host
// sends an event and then waits for its answer, so that nothing follows the frame's last byte.
function nextFrame() {
  let buffer = input;
  const have = readAtLeast(buffer, 0, HEADER);
  if (buffer[4] === exports.KIND.yield) {
    yielding = true;
    early = Buffer.from(buffer.subarray(HEADER, have));
    return undefined;
  }
  const end = HEADER + buffer.readUInt32BE(0);
  if (end > buffer.length) {
    buffer = Buffer.allocUnsafeSlow(end);
    input.copy(buffer, 0, 0, have);
  }
  readAtLeast(buffer, have, end);
  return { buffer, end };
}

// early are bytes that were read together with the frame before them.
let early = Buffer.alloc(0);

// frameByLoop waits for a frame by the event loop.
function frameByLoop(callback) {
  let buffer = input;
  let have = early.copy(buffer);
  early = Buffer.alloc(0);
  const read = () => fs.read(FD, buffer, have, buffer.length - have, null, (error, n) => {
    if (error || n === 0) process.reallyExit(0); // as in readAtLeast
    have += n;
    look();
  });
  const look = () => {
    while (have >= HEADER && buffer[4] === exports.KIND.yield) {
      buffer.copyWithin(0, HEADER, have);
      have -= HEADER;
    }
    const end = have < HEADER ? HEADER : HEADER + buffer.readUInt32BE(0);
    if (have >= HEADER && have >= end) {
      callback({ buffer, end });
      return;
    }
    if (end > buffer.length) {
      const grown = Buffer.allocUnsafeSlow(end);
      buffer.copy(grown, 0, 0, have);
      buffer = grown;
    }
    read();
  };
  look();
}

// setUp waits for what a runtime that was started before its function was known is told: the working
// directory, then each variable of the environment as NAME=value.
exports.setUp = function setUp() {
  const { buffer, end } = nextFrame();
  const texts = [];
  for (let at = HEADER; at < end;) {
    const from = at + 4;
    at = from + buffer.readUInt32BE(at);
    texts.push(buffer.toString('utf8', from, at));
  }
  return { dir: texts[0], env: texts.slice(1) };
};

// nextInvocation gives the next event to a callback: at once when it has waited itself, or by the event
// loop.
exports.nextInvocation = function nextInvocation(callback) {
  const frame = yielding ? undefined : nextFrame();
  if (frame) callback(invocation(frame));
  else frameByLoop((got) => callback(invocation(got)));
};

function invocation({ buffer, end }) {
  const seq = buffer.readUInt32BE(5);
  const deadline = buffer.readUInt32BE(HEADER) * 0x100000000 + buffer.readUInt32BE(HEADER + 4);
  let at = HEADER + 8;
  const text = () => {
    const from = at + 4;
    at = from + buffer.readUInt32BE(at);
    return from === at ? '' : buffer.toString('utf8', from, at);
  };
  return {
    seq, deadline, requestId: text(), arn: text(), traceId: text(), clientContext: text(),
    identity: text(), tenantId: text(), payload: buffer.toString('utf8', at, end),
  };
}

exports.send = function send(kind, seq, text) {
  const length = Buffer.byteLength(text, 'utf8');
  const buffer = HEADER + length <= output.length ? output : Buffer.allocUnsafeSlow(HEADER + length);
  buffer.writeUInt32BE(length, 0);
  buffer[4] = kind;
  buffer.writeUInt32BE(seq, 5);
  buffer.write(text, HEADER, length, 'utf8');
  writeAll(buffer, HEADER + length);
};

// writeEvent writes one log event, which may span lines, to stdout in the way that Bastide puts
// together again (Go: runtimeapi.Output).
exports.writeEvent = function writeEvent(text) {
  const bytes = Buffer.from(`\x1e${text.replace(/\n/g, '\x1f')}\n`);
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(1, bytes, at);
    } catch (e) {
      // A use of process.stdout makes the pipe non-blocking for all; when it is full, wait a little.
      if (e.code !== 'EAGAIN') return; // the function closed its own stdout
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
};

// sendError sends an error's document, shortened until it fits: the trace goes first, then the
// message's end.
exports.sendError = function sendError(kind, seq, doc) {
  let text = JSON.stringify(doc);
  if (Buffer.byteLength(text) > MAX_ERROR) text = JSON.stringify({ ...doc, trace: doc.trace.slice(0, 1) });
  if (Buffer.byteLength(text) > MAX_ERROR) {
    const cut = (s) => String(s).slice(0, MAX_ERROR / 16);
    text = JSON.stringify({ errorType: cut(doc.errorType), errorMessage: cut(doc.errorMessage), trace: [] });
  }
  exports.send(kind, seq, text);
};
