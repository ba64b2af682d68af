'use strict';
// Finds a function's handler: "file.export" or "folder/file.export.member", in CommonJS or in an
// ECMAScript module.
const fs = require('fs');
const path = require('path');
const { HandlerNotFound, MalformedHandlerName, UserCodeSyntaxError, ImportModuleError, CallbackHandlerDeprecated } = require('./errors.cjs');
const { isStreaming } = require('./streaming.cjs');

function split(handler) {
  if (handler.includes('..')) {
    throw new MalformedHandlerName(`'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  }
  const base = path.basename(handler);
  const match = /^([^.]*)\.(.+)$/.exec(base);
  if (!match) throw new MalformedHandlerName('Bad handler');
  return { folder: handler.slice(0, handler.length - base.length), file: match[1], member: match[2] };
}

// A file's package.json decides what .js means; a package of another's does not count.
function isModulePackage(folder) {
  for (let dir = folder; ; dir = path.dirname(dir)) {
    if (path.basename(dir) === 'node_modules') return false;
    try {
      return JSON.parse(fs.readFileSync(path.join(dir, 'package.json'), 'utf8')).type === 'module';
    } catch (e) {
      if (e.code !== 'ENOENT' && e.code !== 'ENOTDIR') return false;
    }
    if (dir === path.dirname(dir)) return false;
  }
}

async function load(root, folder, file) {
  const base = path.resolve(root, folder, file);
  const isModule = (name) => name.endsWith('.mjs') || (!name.endsWith('.cjs') && isModulePackage(path.dirname(name)));
  for (const name of [base, base + '.js', base + '.mjs', base + '.cjs']) {
    if (!fs.statSync(name, { throwIfNoEntry: false })?.isFile()) continue;
    return isModule(name) ? import(require('url').pathToFileURL(name).href) : require(name);
  }
  // Not a file: a package's name, looked for as the function's own code would.
  return require(require.resolve(file, { paths: [root, path.dirname(base)] }));
}

async function loadModule(root, folder, file) {
  try {
    return await load(root, folder, file);
  } catch (e) {
    if (e instanceof SyntaxError) throw Object.assign(new UserCodeSyntaxError(String(e)), { stack: e.stack });
    if (e?.code === 'MODULE_NOT_FOUND' || e?.code === 'ERR_MODULE_NOT_FOUND') {
      throw Object.assign(new ImportModuleError(String(e)), { stack: `Runtime.ImportModuleError: ${e.stack}` });
    }
    throw e;
  }
}

exports.loadHandler = async function loadHandler(root, name) {
  const { folder, file, member } = split(name);
  const module = await loadModule(root, folder, file);
  let handler;
  try {
    handler = member.split('.').reduce((object, key) => object?.[key], module);
  } catch { /* a getter that throws has no handler */ }
  if (!handler) throw new HandlerNotFound(`${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new HandlerNotFound(`${name} is not a function`);
  if (!isStreaming(handler) && Number(process.versions.node.split('.')[0]) >= 24 && handler.length >= 3) {
    throw new CallbackHandlerDeprecated('AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
      'You will need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
      'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.');
  }
  return handler;
};
