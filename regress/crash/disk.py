"""What a disk holds when the power goes: the events of seam.c, applied one by one, and what no flush has covered dropped,
kept, or torn.

Two promises are told apart, as Genkan tells them apart.  In the queue's folders only a flush of a file makes its data
durable, and only a flush of the folder its names; the others may have got there or not, each for itself.  In mailboxes
names get there in order, as ext4 and XFS promise, and the flush of a file or file system brings all names before it; data
that was written out before a rename is there when the new name is (deliver/maildir.c relies on that, on these file systems
only).
"""
import os

from seam import CREATE, MKDIR, RENAME, SYNC_BEGIN, SYNC_END, SYNCFS_BEGIN, SYNCFS_END, TRUNCATE, UNLINK, WRITTEN, WRITTEN_OUT

SECTOR = 512
NOTHING, ALL, SOME = "nothing", "all", "some"


class File:
    def __init__(self):
        self.now, self.durable = bytearray(), bytearray()
        self.dirty = set()      # sectors of NOW that no flush has covered
        self.covered = {}       # by process: what its flush, which has begun, will cover

    def write(self, offset, data):
        if len(self.now) < offset:
            self.dirty.update(range(len(self.now) // SECTOR, offset // SECTOR + 1))
            self.now.extend(bytes(offset - len(self.now)))
        self.now[offset:offset + len(data)] = data
        sectors = range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1)
        self.dirty.update(sectors)
        for covered in self.covered.values():  # a flush that has begun may have come too early for these
            covered.difference_update(sectors)

    def truncate(self, size):
        if size < len(self.now):
            del self.now[size:]
            self.dirty.add(size // SECTOR)
            self.dirty = {s for s in self.dirty if s * SECTOR <= size}
        elif size > len(self.now):
            self.write(size - 1, b"\0")

    def begin(self, pid):
        self.covered[pid] = set(self.dirty)

    def end(self, pid):
        """What was dirty at the beginning is durable as it was then; what was written since is too, if it is the same."""
        covered = self.covered.pop(pid, set())
        for sector in covered:
            at = sector * SECTOR
            piece = self.now[at:at + SECTOR]
            if len(self.durable) < at + len(piece):
                self.durable.extend(bytes(at + len(piece) - len(self.durable)))
            self.durable[at:at + len(piece)] = piece
        self.dirty -= covered
        if len(self.durable) > len(self.now):
            del self.durable[len(self.now):]

    def remains(self, leave, chance, strict):
        """STRICT: a sector that is being written may come out as nonsense, with what it held before.  The journal never
        writes a sector twice for that; who appends to an mbox must, and relies on the disk to have the old or the new."""
        if leave == ALL:
            return bytes(self.now)
        content = bytearray(self.durable)
        if leave == NOTHING:
            return bytes(content)
        size = len(content)
        if len(self.now) > size:
            size += chance.randint(0, len(self.now) - size)
            content.extend(bytes(size - len(content)))
        for sector in self.dirty:
            at, kind = sector * SECTOR, chance.randrange(8)
            piece = self.now[at:min(at + SECTOR, size)]
            if at >= size or kind >= 5:
                continue
            spoilt = kind == 0 and (strict or at >= len(self.durable))
            content[at:at + len(piece)] = piece if not spoilt else bytes([chance.randrange(256)]) * len(piece)
        return bytes(content)


class Folder:
    """Names of one directory: durable ones, and changes on top that are not."""

    def __init__(self, ordered):
        self.ordered = ordered
        self.durable, self.changes = {}, []
        self.covered = {}

    def names(self, leave, chance):
        names = dict(self.durable)
        for change in self.changes:
            if leave == NOTHING or (leave == SOME and chance.randrange(2)):
                if self.ordered or leave == NOTHING:
                    break
                continue
            self.apply(names, change)
        return names

    @staticmethod
    def apply(names, change):
        """One step for the disk: [(name, file or None), ...]"""
        for name, target in change:
            if target is None:
                names.pop(name, None)
            else:
                names[name] = target

    def commit(self, count):
        for change in self.changes[:count]:
            self.apply(self.durable, change)
        del self.changes[:count]
        for pid in self.covered:
            self.covered[pid] = max(0, self.covered[pid] - count)

    def now(self):
        names = dict(self.durable)
        for change in self.changes:
            self.apply(names, change)
        return names


class Disk:
    """ROOTS: {path: ordered} of empty directories that exist before the first event.  OTHERS: names of directories below
    them that are no concern of ours."""

    def __init__(self, roots, others=()):
        self.others = others
        self.folders, self.files = {}, {}   # by inode
        self.paths = {}                     # inode: (parent inode or None, name)
        for path, ordered in roots.items():
            self.add_root(path, ordered)

    def add_root(self, path, ordered):
        inode = os.stat(path).st_ino
        self.folders[inode] = Folder(ordered)
        self.paths[inode] = (None, path)

    def path(self, inode):
        parent, name = self.paths[inode]
        return name if parent is None else os.path.join(self.path(parent), name)

    def apply(self, e):
        handler = {CREATE: self.create, WRITTEN: self.written, TRUNCATE: self.truncate, RENAME: self.rename,
                   UNLINK: self.unlink, MKDIR: self.mkdir, SYNC_BEGIN: self.sync_begin, SYNC_END: self.sync_end,
                   SYNCFS_BEGIN: self.sync_begin, SYNCFS_END: self.syncfs_end, WRITTEN_OUT: self.written_out}[e.op]
        handler(e)

    def create(self, e):
        folder = self.folders.get(e.dir)
        if folder is None:
            return
        known = folder.now().get(e.name)
        if known is not None and self.files.get(e.file) is known:
            if e.offset:
                known.truncate(0)
            return
        self.files[e.file] = File()  # inode numbers are used again
        folder.changes.append([(e.name, self.files[e.file])])

    def written(self, e):
        if e.file in self.files:
            self.files[e.file].write(e.offset, e.data)

    def truncate(self, e):
        if e.file in self.files:
            self.files[e.file].truncate(e.offset)

    def rename(self, e):
        source, target = self.folders.get(e.dir), self.folders.get(e.to_dir)
        if source is None or target is None:
            return
        file = source.now().get(e.name)
        if file is None:
            return
        if source is target:
            target.changes.append([(e.name, None), (e.to, file)])
        else:  # the new name first, so that a file never has none
            target.changes.append([(e.to, file)])
            source.changes.append([(e.name, None)])

    def unlink(self, e):
        folder = self.folders.get(e.dir)
        if folder is not None:
            folder.changes.append([(e.name, None)])

    def mkdir(self, e):
        if e.dir not in self.folders or e.name in self.others:
            return
        # directories are there once and for all: what is in them is what counts
        self.folders[e.file] = Folder(self.folders[e.dir].ordered)
        self.paths[e.file] = (e.dir, e.name)

    def sync_begin(self, e):
        if e.file in self.files:
            self.files[e.file].begin(e.pid)
        for inode, folder in self.folders.items():
            if folder.ordered or inode == e.file:
                folder.covered[e.pid] = len(folder.changes)
        if e.op == SYNCFS_BEGIN:
            for file in self.files.values():
                file.begin(e.pid)

    def commit_mailboxes(self, e):
        for folder in self.folders.values():
            if folder.ordered:
                folder.commit(folder.covered.pop(e.pid, 0))

    def sync_end(self, e):
        file, folder = self.files.get(e.file), self.folders.get(e.file)
        if file is not None:
            file.end(e.pid)
            if self.is_mail(file):
                self.commit_mailboxes(e)
        if folder is not None:
            folder.commit(folder.covered.pop(e.pid, 0))
            if folder.ordered:
                self.commit_mailboxes(e)

    def is_mail(self, file):
        return any(file in folder.now().values() for folder in self.folders.values() if folder.ordered)

    def syncfs_end(self, e):
        for file in self.files.values():
            file.end(e.pid)
        self.commit_mailboxes(e)

    def written_out(self, e):
        if e.file in self.files:
            self.files[e.file].begin(e.pid)
            self.files[e.file].end(e.pid)

    def leave(self, where, leave, chance):
        """Writes what is left below WHERE(path): the place of a directory that had that path."""
        for inode, folder in self.folders.items():
            path = where(self.path(inode))
            os.makedirs(path, exist_ok=True)
            for name, file in folder.names(leave, chance).items():
                write_sparse(os.path.join(path, name), file.remains(leave, chance, not folder.ordered))


def write_sparse(path, content):
    """Preallocated segments are mostly zeros."""
    block = 1 << 16
    with open(path, "wb") as f:
        f.truncate(len(content))
        for at in range(0, len(content), block):
            piece = content[at:at + block]
            if piece.count(0) != len(piece):
                f.seek(at)
                f.write(piece)
