"""Runs a function's handler on python: loads it, then takes events from Bastide one at a time.

Nothing is imported here that a handler may never need: json, logging and traceback together would
double the time that an interpreter takes to start.
"""
import sys
import os
import time

FD = 3  # the stream to Bastide; its frames are described in Go package runtimeapi
HEADER = 9
WAITING, READY, INIT_ERROR, RESPONSE, ERROR = b"WHFRE"
ZYGOTE = ord("P")  # in place of a set-up, see bastide_zygote
MAX_PAYLOAD = 6 * 1024 * 1024 + 100
MAX_ERROR = 250 * 1024


class Current:
    """The invocation that is being served; seq is 0 while there is none."""

    seq = 0
    request_id = ""
    tenant_id = ""


class Fault(Exception):
    """An error of the runtime's own, with Lambda's name for it."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, list(trace)


# ---- the stream

def read_exactly(have, want):
    if want > 1 << 17:
        have = bytearray(have)  # grows in place
    while len(have) < want:
        more = os.read(FD, max(1 << 16, min(want - len(have), 1 << 20)))
        if not more:
            os._exit(0)  # Bastide closed the stream: this instance is over
        have += more
    return have


def next_frame():
    """Waits for a frame. Nothing follows it until it has been answered."""
    b = read_exactly(b"", HEADER)
    end = HEADER + int.from_bytes(b[0:4], "big")
    return (read_exactly(b, end) if len(b) < end else b), end


def set_up():
    """Waits for what a runtime that was started before its function was known is told: the working
    directory, then each variable of the environment as NAME=value. What a function sees of the process
    is then as if it had been started for it."""
    del sys.argv[1:]
    send(WAITING, 0, b"")
    b, end = next_frame()
    if b[4] == ZYGOTE:
        import bastide_zygote
        bastide_zygote.serve()  # returns in each of its forks
        send(WAITING, 0, b"")
        b, end = next_frame()
    at, texts = HEADER, []
    while at < end:
        n = int.from_bytes(b[at:at + 4], "big")
        at += 4 + n
        texts.append(os.fsdecode(bytes(b[at - n:at])))
    env = dict(t.split("=", 1) for t in texts[1:])
    for name in set(os.environ) - set(env) - {"LC_CTYPE"}:  # which the interpreter itself sets where there is no locale
        del os.environ[name]
    os.environ.update(env)
    os.chdir(texts[0])


def next_invocation():
    b, end = next_frame()
    at = HEADER + 8
    texts = []
    for _ in range(6):
        n = int.from_bytes(b[at:at + 4], "big")
        at += 4 + n
        texts.append(b[at - n:at].decode() if n else "")
    return int.from_bytes(b[5:9], "big"), int.from_bytes(b[HEADER:HEADER + 8], "big"), texts, b[at:end].decode()


def write_all(fd, data):
    n = os.write(fd, data)
    if n < len(data):
        view = memoryview(data)
        while n < len(data):
            n += os.write(fd, view[n:])


def send(kind, seq, body):
    write_all(FD, b"%b%c%b%b" % (len(body).to_bytes(4, "big"), kind, seq.to_bytes(4, "big"), body))


def write_event(text):
    """Writes one log event, which may span lines, in the way that Bastide puts together again (Go:
    runtimeapi.Output)."""
    flush()
    write_all(1, b"\x1e%b\n" % text.encode("utf-8", "backslashreplace").replace(b"\n", b"\x1f"))


def send_error(kind, doc):
    import json
    body = json.dumps(doc).encode()
    if len(body) > MAX_ERROR:
        # What a caller can use of such an error is its type and the start of its message.
        doc = dict(doc, stackTrace=[], errorMessage=doc["errorMessage"][:MAX_ERROR // 16])
        body = json.dumps(doc).encode()
    send(kind, Current.seq, body)


# ---- JSON, without package json where the interpreter's own accelerator will do

class ScannerSettings:
    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__
    memo = {}


def make_loads():
    try:
        from _json import make_scanner
        scan = make_scanner(ScannerSettings)
    except (ImportError, AttributeError, TypeError):
        import json
        return json.loads

    def loads(text):
        try:
            value, end = scan(text, 0)
            if end == len(text):
                return value
        except StopIteration:
            pass
        import json  # white space around the document, or an error to be worded
        return json.loads(text)

    return loads


def default(value):
    decimal = sys.modules.get("decimal")
    if decimal is not None and isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def make_dumps():
    ascii_only = sys.version_info < (3, 12)  # as Lambda: later ones write UTF-8
    try:
        from _json import make_encoder, encode_basestring_ascii, encode_basestring
        text = encode_basestring_ascii if ascii_only else encode_basestring
        make_encoder({}, default, text, None, ": ", ", ", False, False, True)
    except (ImportError, AttributeError, TypeError):
        import json
        return lambda value: json.dumps(value, default=default, ensure_ascii=ascii_only)

    def dumps(value):
        return "".join(make_encoder({}, default, text, None, ": ", ", ", False, False, True)(value, 0))

    return dumps


# ---- the context object

class CognitoIdentity:
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]

    def __init__(self, doc):
        self.cognito_identity_id = doc.get("cognitoIdentityId")
        self.cognito_identity_pool_id = doc.get("cognitoIdentityPoolId")


class Client:
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]

    def __init__(self, doc):
        for name in self.__slots__:
            setattr(self, name, doc.get(name))


class ClientContext:
    __slots__ = ["custom", "env", "client"]

    def __init__(self, doc):
        self.client = Client(doc["client"]) if doc.get("client") else None
        self.custom, self.env = doc.get("custom"), doc.get("env")


class LambdaContext:
    def __init__(self, deadline, texts, loads):
        env = os.environ.get
        self.aws_request_id, self.invoked_function_arn, _, client, identity, tenant = texts
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.client_context = ClientContext(loads(client)) if client else None
        self.identity = CognitoIdentity(loads(identity) if identity else {})
        self.tenant_id = tenant or None
        self._epoch_deadline_time_in_ms = deadline

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([%s])" % ",".join("%s=%s" % (k, v) for k, v in vars(self).items() if k[0] != "_")


# ---- errors

OWN = (__file__, os.path.join(os.path.dirname(__file__), "bootstrap.py"))


def stack_of(error):
    """The frames of the function's own code, formatted; ours and the import system's are left out."""
    import traceback
    frames = traceback.extract_tb(error.__traceback__)
    return traceback.format_list([f for f in frames if f.filename not in OWN and not f.filename.startswith("<frozen")])


def document(error):
    if isinstance(error, Fault):
        kind, message, trace = error.kind, error.message, error.trace
    else:
        kind, trace = type(error).__name__, stack_of(error)
        try:
            message = str(error)
        except Exception:
            message = ""
    return {"errorMessage": message, "errorType": kind, "requestId": Current.request_id, "stackTrace": trace}


def report(kind, error):
    doc = document(error)
    if JSON_LOGS:
        import json
        write_event(json.dumps({
            "timestamp": timestamp(time.time()), "log_level": "ERROR", "errorMessage": doc["errorMessage"],
            "errorType": doc["errorType"], "requestId": doc["requestId"], "stackTrace": doc["stackTrace"]}))
    else:
        lines = ["[ERROR] %s: %s" % (doc["errorType"], doc["errorMessage"])]
        if doc["stackTrace"]:
            lines.append("Traceback (most recent call last):")
            lines += [s.rstrip("\n") for s in doc["stackTrace"]]
        write_event("\n".join(lines))
    flush()
    send_error(kind, doc)


# ---- logging, set up when the handler imports it

JSON_LOGS = False  # until main knows better
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50}


def timestamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%03dZ" % (seconds % 1 * 1000)


def json_entry(logging, record):
    import json
    entry = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
        "level": record.levelname, "message": record.getMessage(), "logger": record.name,
        "requestId": Current.request_id}
    if Current.tenant_id:
        entry["tenantId"] = Current.tenant_id
    if record.stack_info:
        entry["stackTrace"] = record.stack_info
    if record.exc_info and record.exc_info[0]:
        import traceback
        entry["stackTrace"] = traceback.format_tb(record.exc_info[2])
        entry["errorType"], entry["errorMessage"] = record.exc_info[0].__name__, str(record.exc_info[1])
        frame = traceback.extract_tb(record.exc_info[2])[-1:]
        if frame:
            entry["location"] = "%s:%s:%s" % (frame[0].filename, frame[0].name, frame[0].lineno)
    standard = vars(logging.makeLogRecord({}))
    for key, value in vars(record).items():
        if key not in standard and key not in entry and key not in ("message", "asctime", "aws_request_id"):
            entry[key] = value
    return json.dumps(entry, default=str, ensure_ascii=False)


def set_up_logging(logging):
    class Handler(logging.Handler):
        def emit(self, record):
            try:
                write_event(self.format(record))
            except Exception:
                self.handleError(record)

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            return json_entry(logging, record)

    def stamp(record):
        record.aws_request_id = Current.request_id
        return True

    if JSON_LOGS:
        formatter = JsonFormatter()
    else:
        formatter = logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
    handler = Handler()
    handler.setFormatter(formatter)
    handler.addFilter(stamp)
    root = logging.getLogger()
    root.addHandler(handler)
    level = LEVELS.get(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper())
    if JSON_LOGS and level:
        root.setLevel(level)


class LoggingHook:
    """A finder that sets logging up right after its first import, and then leaves."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(cls)
        from importlib.util import find_spec
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            set_up_logging(module)

        spec.loader.exec_module = exec_module
        return spec


# ---- the handler

def load_handler(name):
    if "." not in name:
        raise Fault("Runtime.MalformedHandlerName",
                    "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    module_name, function = name.rsplit(".", 1)
    module_name = module_name.replace("/", ".")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.ImportModuleError", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        __import__(module_name)
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, e))
    except SyntaxError as e:
        where = '  File "%s" Line %s\n    %s' % (e.filename, e.lineno, (e.text or "").strip())
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, e), [where])
    try:
        return getattr(sys.modules[module_name], function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module_name))


def invoke(handler, deadline, texts, payload, loads, dumps):
    try:
        event = loads(payload)
    except Exception as e:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % e)
    result = handler(event, LambdaContext(deadline, texts, loads))
    try:
        body = dumps(result).encode()
    except Exception as e:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % e)
    if len(body) > MAX_PAYLOAD:
        raise Fault("Function.ResponseSizeTooLarge",
                    "Response payload size exceeded maximum allowed payload size (%d bytes)." % MAX_PAYLOAD)
    return body


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function closed or replaced it; that is its own affair


def serve(handler):
    loads, dumps = make_loads(), make_dumps()
    environ = os.environ
    while True:
        Current.seq, deadline, texts, payload = next_invocation()
        Current.request_id, Current.tenant_id = texts[0], texts[5]
        if texts[2]:
            environ["_X_AMZN_TRACE_ID"] = texts[2]
        elif "_X_AMZN_TRACE_ID" in environ:
            del environ["_X_AMZN_TRACE_ID"]
        try:
            body = invoke(handler, deadline, texts, payload, loads, dumps)
        except Exception as e:
            report(ERROR, e)
            continue
        flush()
        send(RESPONSE, Current.seq, body)


def prepare():
    if sys.flags.no_site:  # what site would have added and functions use
        import builtins
        import _sitebuiltins
        builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
        builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True)
    root = os.environ.get("LAMBDA_TASK_ROOT", os.getcwd())
    here = os.path.dirname(os.path.abspath(__file__))
    version = "python%d.%d" % sys.version_info[:2]
    first = [root, "/opt/python/lib/%s/site-packages" % version, "/opt/python",
             os.path.join(sys.prefix, "lib", version, "site-packages"), here]
    sys.path[:] = first + [p for p in sys.path if p not in first]
    sys.meta_path.insert(0, LoggingHook)


def main():
    global JSON_LOGS
    if sys.argv[1:] == ["wait"]:
        make_loads(), make_dumps()  # loads what they are made of
        set_up()
    JSON_LOGS = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    prepare()
    try:
        handler = load_handler(os.environ.get("_HANDLER", ""))
    except Exception as e:
        report(INIT_ERROR, e)
        sys.exit(1)
    flush()
    send(READY, 0, b"")
    serve(handler)
