'use strict';
// console as Lambda has it: one log event a call, with time, request id and level, as text or as
// JSON (AWS_LAMBDA_LOG_FORMAT, AWS_LAMBDA_LOG_LEVEL). What is written to process.stdout goes out
// as it is.
const { format } = require('util');
const { writeEvent } = require('./channel.cjs');
const { isError } = require('./errors.cjs');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const METHODS = { trace: 'TRACE', debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR', fatal: 'FATAL' };

const current = { seq: 0, requestId: undefined, tenantId: '' };
exports.current = current;

function textLine(level, args) {
  return `${new Date().toISOString()}\t${current.requestId}\t${level}\t${format(...args)}`;
}

function jsonError(error) {
  return {
    errorType: error?.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

function jsonLine(level, args) {
  const entry = { timestamp: new Date().toISOString(), level, requestId: current.requestId };
  if (current.tenantId) entry.tenantId = current.tenantId;
  if (args.length === 1) {
    entry.message = args[0];
    try {
      return JSON.stringify(entry, (_, value) => (isError(value) ? { ...value, ...jsonError(value) } : value));
    } catch {
      entry.message = format(args[0]);
      return JSON.stringify(entry);
    }
  }
  entry.message = format(...args);
  const error = args.find(isError);
  if (error !== undefined) Object.assign(entry, jsonError(error));
  return JSON.stringify(entry);
}

exports.patchConsole = function patchConsole(env) {
  const json = (env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const floor = LEVELS.indexOf((env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase());
  const line = json ? jsonLine : textLine;
  for (const [method, level] of Object.entries(METHODS)) {
    const silent = json && LEVELS.indexOf(level) < floor;
    console[method] = silent ? () => {} : (...args) => writeEvent(line(level, args));
  }
};
