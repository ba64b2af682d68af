'use strict';
// Response streaming ("Writing response streaming-enabled Lambda functions"): the global awslambda, and
// the running of a handler that writes its answer to a stream.
const channel = require('./channel.cjs');
const { InvalidStreamingOperation, MalformedStreamingHandler } = require('./errors.cjs');
const { KIND } = channel;

const MARK = Symbol.for('aws.lambda.runtime.handler.streaming');
const WATERMARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const MAX_CHUNK = 64 * 1024;

class HttpResponseStream {
  // from lets a function URL answer with a status, headers and cookies: they go before the body, which
  // begins after eight zero bytes.
  static from(stream, metadata) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    const text = JSON.stringify(metadata);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(Buffer.alloc(8));
    };
    return stream;
  }
}

exports.setUp = function setUp(env) {
  if (['1', 'true'].includes(env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse(handler, options) {
      handler[MARK] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[WATERMARK] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream,
  };
};

exports.isStreaming = function isStreaming(handler) {
  if (handler[MARK] === undefined) return false;
  if (handler[MARK] === 'response') return true;
  throw new MalformedStreamingHandler('Only response streaming is supported.');
};

function frame(kind, seq, body) {
  const header = Buffer.alloc(9);
  header.writeUInt32BE(body.length, 0);
  header[4] = kind;
  header.writeUInt32BE(seq, 5);
  return [header, body];
}

// bytesOf is what a handler may write: text, bytes, or anything else as JSON.
function bytesOf(chunk) {
  if (typeof chunk === 'string' || Buffer.isBuffer(chunk) || chunk instanceof Uint8Array) return chunk;
  return JSON.stringify(chunk);
}

// open makes the stream of one invocation. Its class is made when it is first needed: few functions stream.
function open(seq, highWaterMark) {
  const { Writable } = require('stream');
  let type = 'application/octet-stream';
  let touched = false;
  let begun = false; // the head has been sent
  let sent = Promise.resolve(); // when the write that is under way has ended

  const send = (frames, callback) => {
    if (begun && frames.length === 0) {
      process.nextTick(callback);
      return;
    }
    if (!begun) frames.unshift(...frame(KIND.head, seq, Buffer.from(type)));
    begun = true;
    sent = new Promise((done) => {
      channel.writeLater(Buffer.concat(frames), (error) => {
        done();
        callback(error);
      });
    });
  };

  class ResponseStream extends Writable {
    setContentType(contentType) {
      if (touched) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
      type = String(contentType);
    }

    touch() {
      if (touched) return;
      if (typeof this._onBeforeFirstWrite === 'function') this._onBeforeFirstWrite((chunk) => super.write(bytesOf(chunk)));
      touched = true;
    }

    write(chunk, encoding, callback) {
      this.touch();
      return super.write(bytesOf(chunk), encoding, callback);
    }

    end(chunk, encoding, callback) {
      if (typeof chunk === 'function') return this.end(undefined, undefined, chunk);
      if (typeof encoding === 'function') return this.end(chunk, undefined, encoding);
      if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
      else this.touch();
      return super.end(callback);
    }

    _write(chunk, _, callback) {
      this._writev([{ chunk }], callback);
    }

    _writev(chunks, callback) {
      const frames = [];
      for (const { chunk } of chunks) {
        for (let at = 0; at < chunk.length; at += MAX_CHUNK) frames.push(...frame(KIND.chunk, seq, chunk.subarray(at, at + MAX_CHUNK)));
      }
      send(frames, callback);
    }
  }

  const stream = new ResponseStream(highWaterMark > 0 ? { highWaterMark } : {});
  const finished = new Promise((done, failed) => {
    stream.on('finish', done);
    stream.on('error', failed);
    stream.on('close', () => failed(new Error('Response stream is not finished.')));
  });
  finished.catch(() => {}); // a handler that fails first is told of in its own words
  return {
    stream,
    finished,
    // flush lets what was written before a failure go first.
    async flush() {
      if (!stream.destroyed && !stream.writableEnded) Writable.prototype.end.call(stream);
      await finished.catch(() => {});
      await sent;
    },
    // close tells of the end. Nothing that is written later is sent.
    close() {
      stream.destroy();
      const frames = frame(KIND.end, seq, Buffer.alloc(0));
      if (!begun) frames.unshift(...frame(KIND.head, seq, Buffer.from(type)));
      channel.write(Buffer.concat(frames));
    },
  };
}

// run serves one event. A stream that nobody ends keeps the invocation going until its time is over.
exports.run = async function run(handler, inv, makeContext, fail) {
  const alive = setInterval(() => {}, 0x7fffffff);
  const out = open(inv.seq, handler[WATERMARK]);
  try {
    const result = handler(JSON.parse(inv.payload), out.stream, makeContext(inv));
    if (typeof result?.then !== 'function') throw new Error('Streaming does not support non-async handlers.');
    if (await result !== undefined) console.warn('Streaming handlers ignore return values.');
    await out.finished;
    out.close();
  } catch (error) {
    await out.flush();
    out.stream.destroy();
    fail(error);
  }
  clearInterval(alive);
};
