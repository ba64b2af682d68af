"""Waits to be forked: what a fork does to become the process of a sandbox.

An interpreter that waits for its function has loaded what each needs and nothing of any. Told to, it becomes
the zygote of others instead, inside a nest (Go: package sandbox), and takes one frame for each fork, with
descriptors: the init of a sandbox; output, error output and channel; the socket to answer at; and the files
by which a process moves itself into the sandbox's cgroups. The fork enters the init's namespaces and forks
again, since only a child is in the new pid namespace, and that child gives up every right for good before it
goes on as an interpreter that was executed there would.
"""
import _signal
import _socket
import ctypes
import gc
import os
import sys

CONTROL = 3
NEWCGROUP = 0x02000000  # linux/sched.h
KEYCTL = {"x86_64": 250}.get(os.uname().machine, 219)
LANDLOCK, CLOSE_RANGE = 444, 436  # the same everywhere
EXECUTE, READ_FILE = 1, 4  # linux/landlock.h
SECUREBITS = 0xaf  # as cmd/init
NO_NEW_PRIVS, SET_SECUREBITS, DROP_CAPABILITY, AMBIENT, SECCOMP, DUMPABLE = 38, 28, 24, 47, 22, 4  # linux/prctl.h

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 7
libc.syscall.restype = ctypes.c_long
libc.prctl.argtypes = [ctypes.c_ulong] * 5


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class Plan:
    """What a frame says: numbers of eight bytes, and texts with their lengths before them."""

    def __init__(self, body):
        self.body, self.at = body, 0
        self.namespaces, self.uid, self.gid, self.groups = self.number(), self.number(), self.number(), self.number()
        self.handled, self.scoped = self.number(), self.number()
        self.dir = self.text()
        self.grants = [(self.number(), self.text()) for _ in range(self.number())]
        self.filter = self.text()
        self.limits = [(self.number(), self.number()) for _ in range(self.number())]

    def number(self):
        self.at += 8
        return int.from_bytes(self.body[self.at - 8:self.at], "big")

    def text(self):
        n = self.number()
        self.at += n
        return self.body[self.at - n:self.at]


def check(result, what):
    if result < 0:
        raise OSError(ctypes.get_errno(), "%s: %s" % (what, os.strerror(ctypes.get_errno())))
    return result


def prctl(what, option, a=0, b=0):
    check(libc.prctl(option, a, b, 0, 0), what)


def syscall(what, number, *args):
    return check(libc.syscall(number, *args, *[0] * (6 - len(args))), what)


def confine():
    """Takes every privilege from the process, for good, as cmd/init does."""
    prctl("set no_new_privs", NO_NEW_PRIVS, 1)
    prctl("set the securebits", SET_SECUREBITS, SECUREBITS)
    for capability in range(64):
        if libc.prctl(DROP_CAPABILITY, capability, 0, 0, 0) < 0:
            if ctypes.get_errno() == 22:
                break  # past the kernel's last capability
            check(-1, "drop a capability")
    prctl("clear the ambient capabilities", AMBIENT, 4)
    head = ctypes.create_string_buffer((0x20080522).to_bytes(4, sys.byteorder) + bytes(4))
    check(libc.capset(head, ctypes.create_string_buffer(24)), "give up the capabilities")


def fence(plan):
    """Confines the process to the granted files, as cmd/init does."""
    if not plan.handled and not plan.scoped:
        return
    attr = ctypes.create_string_buffer(b"".join(n.to_bytes(8, sys.byteorder) for n in (plan.handled, 0, plan.scoped)), 24)
    rules = syscall("make a landlock ruleset", LANDLOCK, ctypes.addressof(attr), 24)
    # the interpreter itself is the nest's mount, which is nowhere in the root
    for access, path in plan.grants + [(plan.handled & (EXECUTE | READ_FILE), b"/proc/self/exe")]:
        at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = ctypes.create_string_buffer(access.to_bytes(8, sys.byteorder) + at.to_bytes(4, sys.byteorder), 12)
        syscall("grant files", LANDLOCK + 1, rules, 1, ctypes.addressof(rule))
        os.close(at)
    syscall("enter the landlock ruleset", LANDLOCK + 2, rules)
    os.close(rules)


def become(plan, out, errs, channel):
    """Becomes the sandbox's user, with its descriptors, and nothing more than any function may do."""
    os.setsid()
    check(libc.unshare(NEWCGROUP), "take a cgroup namespace")
    if libc.syscall(KEYCTL, 1, 0, 0, 0, 0, 0) < 0 and ctypes.get_errno() != 38:
        check(-1, "take a session keyring")
    if plan.groups:
        os.setgroups([])
    os.setresgid(plan.gid, plan.gid, plan.gid)
    os.setresuid(plan.uid, plan.uid, plan.uid)
    for fd, place in ((os.open("/dev/null", os.O_RDONLY), 0), (out, 1), (errs, 2), (channel, CONTROL)):
        os.dup2(fd, place)
    os.chdir(plan.dir)
    for which, n in plan.limits:
        check(libc.setrlimit(which, ctypes.create_string_buffer(n.to_bytes(8, sys.byteorder) * 2, 16)), "set a resource limit")
    confine()
    fence(plan)
    if plan.filter:
        # through prctl, so that no call is needed for it that functions may not make
        prctl("load the seccomp filter", SECCOMP, 2, ctypes.addressof(Program(len(plan.filter) // 8, plan.filter)))
    prctl("let the process see itself", DUMPABLE, 1)


def enter(body, fds):
    """In a fork: enters the sandbox, and returns in a fork of it."""
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    answer = _socket.socket(fileno=fds[4])
    try:
        plan = Plan(body)
        for fd in fds[5:]:
            os.write(fd, b"0")
        check(libc.setns(fds[0], plan.namespaces), "enter the sandbox")
        pid = os.fork()
        if pid:
            answer.send(b"O%d" % pid)
            os._exit(0)
        become(plan, *fds[1:4])
        answer.send(b"I%d" % os.getpid())
        answer.detach()
        syscall("close what is left", CLOSE_RANGE, CONTROL + 1, 0x7fffffff)
    except BaseException as e:
        answer.send(b"E" + str(e).encode()[:300])
        os._exit(1)


def receive(control):
    """Waits for a frame."""
    body, extra, _, _ = control.recvmsg(1 << 17, _socket.CMSG_SPACE(64 * 4), _socket.MSG_CMSG_CLOEXEC)
    while body and len(body) < 8 + int.from_bytes(body[:8], "big"):
        more = control.recv(1 << 17)
        body = body + more if more else b""
    if not body:
        os._exit(0)  # the nest is over
    return body[8:], [int.from_bytes(data[n:n + 4], sys.byteorder)
                      for _, _, data in extra for n in range(0, len(data), 4)]


def serve():
    """Returns in each fork, as the process of its sandbox."""
    control = _socket.socket(fileno=CONTROL)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # the kernel reaps the forks
    gc.collect()
    gc.freeze()  # or the collector would write to what forks share
    control.send(b"Z")  # what was read ahead until now was read without its descriptors
    while True:
        body, fds = receive(control)
        if os.fork() == 0:
            control.detach()
            return enter(body, fds)
        for fd in fds:
            os.close(fd)
