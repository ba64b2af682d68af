'use strict';
// A handler that is loaded and called once before a waiting runtime waits, so that the code that loads
// and calls handlers has run when the function's own comes.
exports.handler = async (event) => event;
