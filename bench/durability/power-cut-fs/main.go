// A file system for measurements of durability: it keeps in memory what was written and not yet forced to the disk, and forgets it when
// it is killed, as a machine forgets its page cache when it loses power. Files, folders and their names are passed through at once.
//
//	powercut BACKING MOUNTPOINT
//
// It prints "ready" when it serves. SIGUSR1 writes everything down, as time would do, and prints "synced".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// content is a file as its readers see it. The backing file holds what was forced to the disk.
type content struct {
	mu       sync.Mutex
	backing  *os.File
	bytes    []byte
	low, top int64 // What was written since the last sync; none if low == top.
	resized  bool
}

// disk finds the content of files by their inode, so that it outlives closing and renaming.
type disk struct {
	mu    sync.Mutex
	files map[uint64]*content
}

var theDisk = &disk{files: map[uint64]*content{}}

func (d *disk) open(path string) (*content, error) {
	var stat syscall.Stat_t
	if err := syscall.Lstat(path, &stat); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.files[stat.Ino]; known != nil {
		return known, nil
	}
	backing, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	opened := &content{backing: backing, bytes: bytes}
	d.files[stat.Ino] = opened
	return opened, nil
}

func (d *disk) known(path string) *content {
	var stat syscall.Stat_t
	if syscall.Lstat(path, &stat) != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[stat.Ino]
}

// forget lets go of a file that is about to lose its last name: its inode may come back as another file.
func (d *disk) forget(path string) {
	var stat syscall.Stat_t
	if syscall.Lstat(path, &stat) != nil || stat.Nlink > 1 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, stat.Ino)
}

func (d *disk) syncAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, file := range d.files {
		file.sync()
	}
}

func (c *content) read(into []byte, offset int64) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset >= int64(len(c.bytes)) {
		return 0
	}
	return copy(into, c.bytes[offset:])
}

func (c *content) write(data []byte, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := offset + int64(len(data))
	if end > int64(len(c.bytes)) {
		c.bytes = append(c.bytes, make([]byte, end-int64(len(c.bytes)))...)
	}
	copy(c.bytes[offset:], data)
	if c.low == c.top {
		c.low, c.top = offset, end
	}
	c.low, c.top = min(c.low, offset), max(c.top, end)
}

func (c *content) truncate(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if size <= int64(len(c.bytes)) {
		c.bytes = c.bytes[:size:size]
	} else {
		c.bytes = append(c.bytes, make([]byte, size-int64(len(c.bytes)))...)
	}
	c.low, c.top = min(c.low, size), min(c.top, size)
	c.resized = true
}

func (c *content) size() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.bytes))
}

func (c *content) sync() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resized {
		if err := c.backing.Truncate(int64(len(c.bytes))); err != nil {
			return err
		}
	}
	if c.low < c.top {
		if _, err := c.backing.WriteAt(c.bytes[c.low:c.top], c.low); err != nil {
			return err
		}
	}
	c.low, c.top, c.resized = 0, 0, false
	return nil
}

type node struct{ fs.LoopbackNode }

func (n *node) path(names ...string) string {
	return filepath.Join(append([]string{n.RootData.Path, n.Path(n.Root())}, names...)...)
}

// handle is an open file; one that was opened with O_SYNC forgets nothing.
type handle struct {
	content  *content
	isSynced bool
}

func open(path string, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	file, err := theDisk.open(path)
	if err != nil {
		return nil, 0, fs.ToErrno(err)
	}
	if flags&syscall.O_TRUNC != 0 {
		file.truncate(0)
	}
	// Without a page cache of the kernel's own: whatever it knew would be known after the cut.
	return &handle{file, flags&(syscall.O_SYNC|syscall.O_DSYNC) != 0}, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return open(n.path(), flags)
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	made, err := os.OpenFile(n.path(name), os.O_RDWR|os.O_CREATE|int(flags)&os.O_EXCL, os.FileMode(mode&0o777))
	if err != nil {
		return nil, nil, 0, fs.ToErrno(err)
	}
	made.Close()
	child, errno := n.Lookup(ctx, name, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	file, fuseFlags, errno := open(n.path(name), flags)
	return child, file, fuseFlags, errno
}

func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child, errno := n.LoopbackNode.Lookup(ctx, name, out)
	if errno == 0 {
		if file := theDisk.known(n.path(name)); file != nil {
			out.Attr.Size = file.size()
		}
	}
	return child, errno
}

func (n *node) Getattr(ctx context.Context, open fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if file, ok := open.(*handle); ok {
		var stat syscall.Stat_t
		if err := syscall.Fstat(int(file.content.backing.Fd()), &stat); err != nil {
			return fs.ToErrno(err)
		}
		out.FromStat(&stat)
		out.Attr.Size = file.content.size()
		return 0
	}
	errno := n.LoopbackNode.Getattr(ctx, nil, out)
	if errno == 0 {
		if file := theDisk.known(n.path()); file != nil {
			out.Attr.Size = file.size()
		}
	}
	return errno
}

func (n *node) Setattr(ctx context.Context, open fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		file, isOpen := open.(*handle)
		var target *content
		if isOpen {
			target = file.content
		} else {
			opened, err := theDisk.open(n.path())
			if err != nil {
				return fs.ToErrno(err)
			}
			target = opened
		}
		target.truncate(int64(size))
		if isOpen && file.isSynced {
			target.sync()
		}
	}
	return n.Getattr(ctx, open, out)
}

// Rename writes the file down first, as ext4 does (auto_da_alloc) so that a new version never replaces an old one with nothing.
func (n *node) Rename(ctx context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	target := filepath.Join(n.RootData.Path, parent.EmbeddedInode().Path(n.Root()), newName)
	if file := theDisk.known(n.path(name)); file != nil {
		file.sync()
	}
	theDisk.forget(target)
	return fs.ToErrno(os.Rename(n.path(name), target))
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	theDisk.forget(n.path(name))
	return n.LoopbackNode.Unlink(ctx, name)
}

func (h *handle) Read(_ context.Context, into []byte, offset int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(into[:h.content.read(into, offset)]), 0
}

func (h *handle) Write(_ context.Context, data []byte, offset int64) (uint32, syscall.Errno) {
	h.content.write(data, offset)
	if h.isSynced {
		if err := h.content.sync(); err != nil {
			return 0, fs.ToErrno(err)
		}
	}
	return uint32(len(data)), 0
}

func (h *handle) Fsync(_ context.Context, _ uint32) syscall.Errno { return fs.ToErrno(h.content.sync()) }
func (h *handle) Flush(_ context.Context) syscall.Errno           { return 0 }
func (h *handle) Release(_ context.Context) syscall.Errno         { return 0 }

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: powercut BACKING MOUNTPOINT")
		os.Exit(2)
	}
	root := &fs.LoopbackRoot{Path: os.Args[1]}
	root.NewNode = func(data *fs.LoopbackRoot, _ *fs.Inode, _ string, _ *syscall.Stat_t) fs.InodeEmbedder {
		return &node{fs.LoopbackNode{RootData: data}}
	}
	root.RootNode = &node{fs.LoopbackNode{RootData: root}}
	options := &fs.Options{}
	options.DirectMount = true
	options.FsName = "powercut"
	server, err := fs.Mount(os.Args[2], root.RootNode, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			theDisk.syncAll()
			fmt.Println("synced")
		}
	}()
	server.Wait()
}
