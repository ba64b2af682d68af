'use strict';
// Errors as Lambda names and shapes them.

function named(name) {
  return class extends Error {
    constructor(message) {
      super(message);
      this.name = name;
    }
  };
}

exports.HandlerNotFound = named('Runtime.HandlerNotFound');
exports.MalformedHandlerName = named('Runtime.MalformedHandlerName');
exports.UserCodeSyntaxError = named('Runtime.UserCodeSyntaxError');
exports.ImportModuleError = named('Runtime.ImportModuleError');
exports.CallbackHandlerDeprecated = named('Runtime.CallbackHandlerDeprecated');
exports.MalformedStreamingHandler = named('Runtime.MalformedStreamingHandler');
exports.InvalidStreamingOperation = named('Runtime.InvalidStreamingOperation');
exports.ResponseSizeTooLarge = named('Function.ResponseSizeTooLarge');
exports.UnhandledPromiseRejection = class extends Error {
  constructor(reason, promise) {
    super(String(reason));
    this.name = 'Runtime.UnhandledPromiseRejection';
    this.reason = reason;
    this.promise = promise;
  }
};

// An error of another realm (vm, worker) is an error too.
function isError(value) {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}
exports.isError = isError;

// document is what the caller of the function receives. A value that throws when it is looked at
// must not take the runtime with it.
exports.document = function document(error) {
  try {
    if (isError(error)) {
      return { errorType: String(error.name), errorMessage: String(error.message), trace: String(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
      trace: [],
    };
  }
};

// logged is the error as the log shows it: with every property of its own.
exports.logged = function logged(error) {
  if (!isError(error)) return JSON.stringify(exports.document(error));
  try {
    return JSON.stringify(withProperties(error, 3));
  } catch {
    return JSON.stringify(exports.document(error));
  }
};

function withProperties(error, depth) {
  const out = { errorType: error.name ?? 'UnknownError', errorMessage: error.message ?? '' };
  if (error.code !== undefined) out.code = error.code;
  for (const [key, value] of Object.entries(error)) {
    if (key !== 'name') out[key] = isError(value) && depth > 0 ? withProperties(value, depth - 1) : value;
  }
  out.stack = typeof error.stack === 'string' ? error.stack.split('\n') : [];
  return out;
}
