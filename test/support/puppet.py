"""A process that does what a test tells it, a JSON object a line on stdin; it answers with one on stdout."""
import ctypes
import json
import os
import resource
import socket
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_DUMPABLE = 4
SYS_EXIT = {"x86_64": 60, "aarch64": 93}[os.uname().machine]

sockets = [socket.socket(fileno=int(fd)) for fd in sys.argv[1:]]


def begin(cgroup, uid):
    """Goes to a cgroup, and gives up being root for good where uid is another's. As if it had been born like that."""
    with open(f"/sys/fs/cgroup{cgroup}/cgroup.procs", "w") as procs:
        procs.write("0")
    if uid != 0:
        os.setgroups([])
        become(uid, uid)
        # As after an exec, so that /proc/self belongs to the user again (proc(5)).
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    sockets.append(client)


def send(text):
    sockets[-1].sendall(text.encode())


def ask(method, parameters):
    """A Varlink call over the last socket, and its reply."""
    sockets[-1].sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
    return reply()


def reply():
    message = b""
    while not message.endswith(b"\0"):
        chunk = sockets[-1].recv(65536)
        if not chunk:
            raise OSError("the daemon has closed the connection")
        message += chunk
    return json.loads(message[:-1])


def disconnect():
    sockets.pop().close()


def flip(pid, files, seconds):
    """Writes the pid to one file after the other, for so long. How often."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        with open(files[count % len(files)], "w") as file:
            file.write(str(pid))
        count += 1
    return count


def fork():
    """A child that holds all that this process holds, and does nothing."""
    child = os.fork()
    if child == 0:
        time.sleep(1000)
    return child


def zombie():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return child


def reap(pid):
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def start(*argv):
    return os.spawnvp(os.P_NOWAIT, argv[0], argv)


def exec(program=None):
    """The same process with another program: this one again, or what is named."""
    for client in sockets:
        client.set_inheritable(True)
    if program is not None:
        os.execv(program, [program, "1000"])
    os.execv(sys.executable, [sys.executable, __file__, *(str(client.fileno()) for client in sockets)])


def become(uid, gid):
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def seteuid(uid):
    os.seteuid(uid)


def pass_on(path):
    """Sends the last socket to whoever listens there, and forgets it."""
    carrier = socket.socket(socket.AF_UNIX)
    carrier.connect(path)
    client = sockets.pop()
    socket.send_fds(carrier, [b"x"], [client.fileno()])
    client.close()
    carrier.recv(1)


def take_over(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    print(json.dumps({"ok": "listening"}), flush=True)
    carrier, _ = listener.accept()
    _, fds, _, _ = socket.recv_fds(carrier, 1, 1)
    sockets.append(socket.socket(fileno=fds[0]))
    carrier.sendall(b"x")
    return "taken"


def threads(count):
    """Native ids of new threads, in the namespace of this process."""
    ids, ready = [], threading.Semaphore(0)

    def run():
        ids.append(threading.get_native_id())
        ready.release()
        time.sleep(1000)

    for _ in range(count):
        threading.Thread(target=run, daemon=True).start()
        ready.acquire()
    return ids


def short_thread():
    """The id of a thread that has ended."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(threading.get_native_id()))
    thread.start()
    thread.join()
    time.sleep(0.05)
    return ended[0]


def end_first_thread():
    threading.Thread(target=lambda: time.sleep(1000)).start()
    print(json.dumps({"ok": "ending"}), flush=True)
    libc.syscall(SYS_EXIT, 0)


def rename(name):
    PR_SET_NAME = 15
    libc.prctl(PR_SET_NAME, name.encode("latin1"), 0, 0, 0)


def groups(count):
    os.setgroups(range(10000, 10000 + count))


def pidfd_id(pid):
    return os.fstat(os.pidfd_open(pid)).st_ino


def pid():
    return os.getpid()


def host_pid():
    """In the namespace that /proc was mounted in."""
    return int(os.readlink("/proc/self"))


def memlock():
    return resource.getrlimit(resource.RLIMIT_MEMLOCK)


def set_memlock(soft, hard):
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))


def lock(length):
    """Locks fresh memory, for as long as the process lives."""
    PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS = 3, 0x22
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, ctypes.c_size_t(length), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0)
    if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(length)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def nice(increment):
    return os.nice(increment)


def set_fifo(priority, tid=0):
    os.sched_setscheduler(tid, os.SCHED_FIFO, os.sched_param(priority))


print(json.dumps({"ok": os.getpid()}), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = {"ok": globals()[call[0]](*call[1:])}
    except (OSError, ValueError) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
