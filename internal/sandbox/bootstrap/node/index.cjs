'use strict';
// Runs a function's handler on node: loads it, then takes events from Bastide one at a time.
const channel = require('./channel.cjs');
const errors = require('./errors.cjs');
const logging = require('./logging.cjs');
const streaming = require('./streaming.cjs');
const { KIND } = channel;

const env = process.env;
const callbacksAllowed = Number(process.versions.node.split('.')[0]) < 24;

// running says that an invocation waits for its answer.
let running = false;
// atExit is called when the event loop runs empty.
let atExit = null;

function fatal(error, label) {
  console.error(label, `\t${errors.logged(error)}`);
  channel.atLast(() => {
    if (running) channel.sendError(KIND.fatal, logging.current.seq, errors.document(error));
    else channel.sendError(KIND.initError, 0, errors.document(error));
    process.reallyExit(129);
  });
}

process.on('uncaughtException', (error) => fatal(error, 'Uncaught Exception'));
process.on('unhandledRejection', (reason, promise) =>
  fatal(new errors.UnhandledPromiseRejection(reason, promise), 'Unhandled Promise Rejection'));
process.on('beforeExit', () => {
  if (atExit) atExit();
});

function parsed(text) {
  return text === '' ? undefined : JSON.parse(text);
}

function makeContext(inv) {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed(inv.clientContext),
    identity: parsed(inv.identity),
    invokedFunctionArn: inv.arn,
    awsRequestId: inv.requestId,
    tenantId: inv.tenantId || undefined,
    getRemainingTimeInMillis: () => inv.deadline - Date.now(),
  };
}

function serialise(value) {
  const text = JSON.stringify(value === undefined ? null : value);
  return text === undefined ? 'null' : text; // a function or symbol has no JSON
}

function answerError(seq, error) {
  console.error('Invoke Error', `\t${errors.logged(error)}`);
  channel.sendError(KIND.error, seq, errors.document(error));
}

function answer(seq, value) {
  let text;
  try {
    text = serialise(value);
  } catch (e) {
    answerError(seq, Object.assign(new Error('Unable to stringify response body'), { name: 'Runtime.UnserializableResponse', cause: e }));
    return;
  }
  if (text.length * 3 > channel.MAX_PAYLOAD && Buffer.byteLength(text) > channel.MAX_PAYLOAD) {
    answerError(seq, new errors.ResponseSizeTooLarge(
      `Response payload size exceeded maximum allowed payload size (${channel.MAX_PAYLOAD} bytes).`));
    return;
  }
  channel.send(KIND.response, seq, text);
}

// addLegacy gives the ways to answer through a callback or the context, which end with node 24. A
// callback's result waits until the event loop is empty unless the context says otherwise; an error
// and what the context is given do not wait.
function addLegacy(context, decide, finish) {
  const settle = (error, value) => {
    const failed = error !== null && error !== undefined;
    setImmediate(finish, failed, failed ? error : value);
  };
  const callback = (error, value) => {
    const failed = error !== null && error !== undefined;
    if (!failed && context.callbackWaitsForEmptyEventLoop) atExit = () => finish(false, value);
    else settle(error, value);
  };
  context.done = decide(settle);
  context.succeed = decide((value) => settle(null, value));
  context.fail = decide((error) => settle(error ?? 'handled'));
  return decide(callback);
}

async function stream(handler, inv) {
  await streaming.run(handler, inv, makeContext, (error) => answerError(inv.seq, error));
  running = false;
  setImmediate(run, handler);
}

function run(handler) {
  channel.nextInvocation((inv) => begin(handler, inv));
}

function begin(handler, inv) {
  const { current } = logging;
  current.seq = inv.seq;
  current.requestId = inv.requestId;
  current.tenantId = inv.tenantId;
  if (inv.traceId) env._X_AMZN_TRACE_ID = inv.traceId;
  else if (env._X_AMZN_TRACE_ID !== undefined) delete env._X_AMZN_TRACE_ID;

  running = true;
  if (streaming.isStreaming(handler)) {
    stream(handler, inv);
    return;
  }
  let finished = false;
  const finish = (failed, value) => {
    if (finished) return;
    finished = true;
    running = false;
    atExit = null;
    (failed ? answerError : answer)(inv.seq, value);
    setImmediate(run, handler); // what is already due runs before the process is frozen
  };
  let decided = false; // the first of a callback, the context, the promise and an exception counts
  const decide = (way) => (...args) => {
    if (decided) return;
    decided = true;
    way(...args);
  };
  atExit = () => finish(false, null); // nothing is left that could still answer
  try {
    const context = makeContext(inv);
    const callback = callbacksAllowed ? addLegacy(context, decide, finish) : undefined;
    const result = handler(JSON.parse(inv.payload), context, callback);
    if (result !== null && result !== undefined && typeof result.then === 'function') {
      result.then(decide((value) => finish(false, value)), decide((error) => finish(true, error)));
    } else if (!callbacksAllowed) {
      finish(false, result);
    }
  } catch (error) {
    decide(finish)(true, error);
  }
}

// rehearse runs what a function's first event will run. What it loaded is forgotten.
async function rehearse(loadHandler) {
  for (const name of ['early.handler', 'early-module.handler']) {
    const handler = await loadHandler(__dirname, name);
    serialise(await handler(JSON.parse('{}'), makeContext({ deadline: 0, clientContext: '', identity: '', tenantId: '' })));
  }
  delete require.cache[require.resolve('./early.cjs')];
}

// wait lets a runtime that was started with the word "wait" learn whose it is. What a function sees of
// the process is as if it had been started for it.
function wait() {
  process.argv.length = 2;
  channel.send(KIND.waiting, 0, '');
  const { dir, env: texts } = channel.setUp();
  const names = new Set();
  for (const text of texts) {
    const at = text.indexOf('=');
    const name = text.slice(0, at);
    names.add(name);
    if (env[name] !== text.slice(at + 1)) env[name] = text.slice(at + 1);
  }
  for (const name of Object.keys(env)) if (!names.has(name)) delete env[name];
  process.chdir(dir);
}

async function main() {
  const { loadHandler } = require('./handler.cjs');
  if (process.argv[2] === 'wait') {
    await rehearse(loadHandler);
    wait();
  }
  logging.patchConsole(env);
  streaming.setUp(env);
  let handler;
  try {
    handler = await loadHandler(env.LAMBDA_TASK_ROOT || process.cwd(), env._HANDLER || '');
  } catch (error) {
    fatal(error, 'Uncaught Exception');
  }
  channel.send(KIND.ready, 0, '');
  setImmediate(run, handler);
}

main();
