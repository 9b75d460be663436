"""The other side of seam.c: faults that the running server meets, and what a disk saw of it."""
import collections
import errno
import mmap
import os
import pathlib
import struct

from genkan import BUILD, own

LIBRARY = BUILD / "crash" / "seam.so"
WRITE, SYNC, OPEN, ALLOC = 1, 2, 4, 8
FAULT = struct.Struct("<iIiiii")
FAULTS_MAX = 64
EVENT = struct.Struct("<IIIIQQQQIIII")
MAGIC = 0x4D414553
CREATE, WRITTEN, TRUNCATE, RENAME, UNLINK, MKDIR, SYNC_BEGIN, SYNC_END, SYNCFS_BEGIN, SYNCFS_END, WRITTEN_OUT = range(1, 12)
RECORD_SIZE = 4 << 30  # sparse: what is not used takes no room


def shared_file(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    own(path)
    with open(path, "r+b") as f:
        return mmap.mmap(f.fileno(), size)


class Faults:
    """with Faults(path) as faults: Genkan(..., env=faults.env); faults.set([pids], WRITE, errno.ENOSPC); faults.clear()"""

    def __init__(self, path):
        self.map = shared_file(path, FAULTS_MAX * FAULT.size)
        self.env = {"LD_PRELOAD": str(LIBRARY), "SEAM_FAULTS": str(path)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()

    def set(self, pids, calls, error, skip=0):
        for i, pid in enumerate(pids):
            at = i * FAULT.size
            hits = FAULT.unpack_from(self.map, at)[4]
            # the pid last: until then the row is nobody's
            self.map[at:at + FAULT.size] = FAULT.pack(0, calls, error, skip, hits, 0)
            self.map[at:at + 4] = struct.pack("<i", pid)

    def hits(self):
        return sum(FAULT.unpack_from(self.map, i * FAULT.size)[4] for i in range(FAULTS_MAX))

    def clear(self):
        for i in range(FAULTS_MAX):
            self.map[i * FAULT.size:i * FAULT.size + 4] = b"\0\0\0\0"


Event = collections.namedtuple("Event", "op pid file dir to_dir offset data name to")


class Recorder:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.map = shared_file(path, RECORD_SIZE)
        self.env = {"LD_PRELOAD": str(LIBRARY), "SEAM_RECORD": str(path)}

    def position(self):
        """Everything that returned before this call was noted before this place."""
        return struct.unpack_from("<Q", self.map, 0)[0]

    def events(self):
        """[(position behind it, Event), ...], of all calls that returned."""
        at, end, found = 8, 8 + self.position(), []
        while at < end:
            magic, size, op, pid, file, directory, to_dir, offset, length, name_len, to_len, _ = EVENT.unpack_from(self.map, at)
            assert size >= EVENT.size, "a process was killed inside the recorder"
            p = at + EVENT.size
            data = self.map[p:p + length]
            name = self.map[p + length:p + length + name_len].decode()
            to = self.map[p + length + name_len:p + length + name_len + to_len].decode()
            if magic == MAGIC:
                found.append((at + size - 8, Event(op, pid, file, directory, to_dir, offset, data, name, to)))
            at += size
        return found

    def close(self):
        self.map.close()
        os.unlink(self.path)
