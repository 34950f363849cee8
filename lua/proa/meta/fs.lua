---@meta _
-- Files and names of files. Whatever may wait for a disk or a server is an
-- operation: only the calling task waits. Where options are taken, `timeout`
-- (seconds) is one of them; unknown keys raise. Failures are nil, "verb PATH:
-- why", and the code of errno(3) (ENOENT, EACCES, EEXIST, ENOSPC ...), or
-- TIMEOUT. Permissions are an integer (0x1A4) or octal digits ("644").
-- SPDX-License-Identifier: MIT

---@class proa.fs
local fs = {}

---@class proa.fs_options
---@field timeout? number seconds for all of it; default: no limit

---@class proa.fs.open_options : proa.fs_options
---@field read? boolean default true, unless it is opened to be written
---@field write? boolean
---@field append? boolean every write goes to the end
---@field create? boolean make it when it is not there
---@field exclusive? boolean make it; EEXIST when it is there
---@field truncate? boolean drop what is in it
---@field sync? boolean|"data" every write waits for the disk
---@field direct? boolean past the page cache: what is read into or written from
---  are buffers of a page or more, at offsets and in lengths that the device
---  can do (512 or 4096); else EINVAL
---@field permissions? integer|string of a new one, before the umask; default 666
---@field follow? boolean false: ELOOP when the last name is a symbolic link

--- Open a file. A cancelled open leaves nothing open. A FIFO waits for its other
--- end, as open(2) does, and delays nothing else meanwhile: "r" for who writes,
--- "w" and "a" for who reads, "r+" for nobody. 64 at most wait at once, in a thread
--- each, more of them for their turn. (In the simulation "r" does not wait; what
--- is read then does.) A device that open(2) would wait for, as for a carrier, is
--- open at once.
---@param path string
---@param mode? string|proa.fs.open_options as io.open's: "r" (default), "w",
---  "a", "r+", "w+", "a+", "b" is ignored; "x" behind a "w" or "a": it must be new
---@return proa.file? file
---@return string? message
---@return string? code
function fs.open(path, mode) end

---@class proa.fs.read_options : proa.fs_options
---@field max? integer bytes; more: code LIMIT

--- All that is in a file.
---@param path string
---@param options? proa.fs.read_options
---@return string? data
---@return string? message
---@return string? code
function fs.read(path, options) end

---@class proa.fs.write_options : proa.fs_options
---@field atomic? boolean whoever reads it sees the old content or the new one,
---  also after a crash: a new file is written, brought to the disk and renamed.
---  A link is followed, permissions are kept. Cancelled or failing it leaves
---  nothing behind
---@field exclusive? boolean EEXIST when it is there; not with atomic
---@field sync? boolean wait for the disk; default: with atomic only
---@field permissions? integer|string of a new one (with atomic: in any case)

--- Write a whole file. Cancelled or timed out, and not atomic: what was there is
--- still there, or cut to nothing, or replaced by the data or the first part of
--- it, which may be written yet for as long as a close lingers (5 s).
---@param path string
---@param data string|number|proa.buffer
---@param options? proa.fs.write_options
---@return boolean? true
---@return string? message
---@return string? code
function fs.write(path, data, options) end

---@class proa.fs.append_options : proa.fs_options
---@field sync? boolean wait for the disk
---@field permissions? integer|string of a new one, before the umask

--- Write behind what is in a file, or make it. Cancelled or timed out, all of the
--- data, a first part of it, or none is there, and the rest may follow as it
--- does with write.
---@param path string
---@param data string|number|proa.buffer
---@param options? proa.fs.append_options
---@return boolean? true
---@return string? message
---@return string? code
function fs.append(path, data, options) end

---@class proa.fs.copy_options : proa.fs_options
---@field exclusive? boolean EEXIST when `to` is there
---@field permissions? integer|string default: those of `from`, when `to` is new
---@field sync? boolean wait for the disk

--- Copy the content of a file; the kernel moves the bytes. What was in `to` is
--- dropped once `from` is open and known to be another file. Cancelled, timed
--- out or failing: `to` is as it was, or holds a first part of `from`, perhaps
--- nothing; it is not removed, also where it is new.
---@param from string
---@param to string
---@param options? proa.fs.copy_options
---@return integer? bytes
---@return string? message
---@return string? code EISDIR: `from` is a directory
function fs.copy(from, to, options) end

---@class proa.stat
---@field type "file"|"directory"|"link"|"fifo"|"socket"|"character"|"block"|"unknown"
---@field size integer bytes
---@field permissions integer 0 to 4095 (07777)
---@field uid integer
---@field gid integer
---@field links integer names that it has
---@field inode integer
---@field device integer
---@field allocated integer bytes on the disk; fewer than size: it has holes
---@field block_size integer bytes that are good to read or write at once
---@field accessed number seconds since 1970
---@field modified number of its content
---@field changed number of what is told here
---@field created? number where the file system knows

--- What the kernel tells of a file.
---@param path string
---@param options? proa.fs_options
---@return proa.stat? stat
---@return string? message
---@return string? code
function fs.stat(path, options) end

--- The same of a name itself: of a symbolic link, not of what it points to.
---@param path string
---@param options? proa.fs_options
---@return proa.stat? stat
---@return string? message
---@return string? code
function fs.lstat(path, options) end

--- Is there such a file?
---@param path string
---@param options? proa.fs_options
---@return boolean? yes false: ENOENT or ENOTDIR; nil: it can't be told
---@return string? message
---@return string? code
function fs.exists(path, options) end

--- May this process, by its effective user, do that with it?
---@param path string
---@param how? string some of "rwx"; default "": is it there?
---@param options? proa.fs_options
---@return boolean? true
---@return string? message
---@return string? code EACCES, ENOENT ...
function fs.access(path, how, options) end

---@param path string
---@param permissions integer|string
---@param options? proa.fs_options
---@return boolean? true
---@return string? message
---@return string? code
function fs.chmod(path, permissions, options) end

---@class proa.fs.rename_options : proa.fs_options
---@field exclusive? boolean EEXIST when `to` is there

--- Give a file another name, in place of what has it.
---@param from string
---@param to string
---@param options? proa.fs.rename_options
---@return boolean? true
---@return string? message
---@return string? code EXDEV: on another file system
function fs.rename(from, to, options) end

--- Give a file one more name.
---@param from string
---@param to string
---@param options? proa.fs_options
---@return boolean? true
---@return string? message
---@return string? code
function fs.link(from, to, options) end

--- Make a symbolic link at `path` that says `target`.
---@param target string
---@param path string
---@param options? proa.fs_options
---@return boolean? true
---@return string? message
---@return string? code
function fs.symlink(target, path, options) end

--- What a symbolic link says.
---@param path string
---@param options? proa.fs_options
---@return string? target
---@return string? message
---@return string? code EINVAL: it is none
function fs.readlink(path, options) end

--- The absolute path, without links and dots.
---@param path string
---@param options? proa.fs_options
---@return string? path
---@return string? message
---@return string? code
function fs.realpath(path, options) end

---@class proa.fs.mkdir_options : proa.fs_options
---@field parents? boolean make those above it as well; one that is there is fine
---@field permissions? integer|string before the umask; default 777

--- Make a directory. With parents, cancelled, timed out or failing: those that
--- were made stay, and the one under way may be made yet.
---@param path string
---@param options? proa.fs.mkdir_options
---@return boolean? true
---@return string? message
---@return string? code
function fs.mkdir(path, options) end

---@class proa.fs.rm_options : proa.fs_options
---@field recursive? boolean a directory with all that is below it; links are
---  removed, not followed
---@field force? boolean nothing there is fine

--- Remove a file, a link, or an empty directory. A tree may be of any depth: 17
--- descriptors at most are open. The first failure ends it, and so does a
--- cancellation; what was removed by then is gone, and the one under way may go
--- yet.
---@param path string
---@param options? proa.fs.rm_options
---@return boolean? true
---@return string? message
---@return string? code ENOTEMPTY; EINVAL: recursive, of a name that ends in "."
---  or ".."; ESTALE: somebody moved a directory that it is
---  in
function fs.rm(path, options) end

--- Iterate over the names in a directory: `for name, type in fs.list(path)`. In
--- no order, without "." and "..". Raises on errors. The directory is closed at
--- the end of the loop, also by break.
---@param path string
---@return fun(): string?, string? name and type as of proa.stat ("unknown"
---  where the file system does not tell)
function fs.list(path) end

---@class proa.fs.walk_options
---@field depth? integer levels; 1: only what is in the directory itself
---@field follow? boolean through symbolic links, not in circles; default false
---@field sorted? boolean by name, in each directory; default false
---@field enter? fun(path: string): boolean false: not into that directory
---@field on_error? fun(path: string, message: string, code: string) of a
---  directory that can't be read; default: it is raised

--- Iterate over all that is below a directory: `for path, type in
--- fs.walk(dir)`; a directory comes before what is in it. The names of one
--- directory are read at once, so what is found may be renamed and removed.
---@param path string
---@param options? proa.fs.walk_options
---@return fun(): string?, string? path and type
function fs.walk(path, options) end

--- Iterate over the paths that match a pattern, sorted. `*` and `?` stand for
--- any bytes but "/", `[a-z]` and `[!a-z]` for one of a set, `**` as a part of
--- its own for any directories; a leading dot is only matched by a dot. What
--- can't be read has no matches.
---@param pattern string
---@return fun(): string? path
function fs.glob(pattern) end

---@class proa.fs.tmp_options : proa.fs_options
---@field dir? string default: $TMPDIR, or /tmp

--- A file without a name, to be read and written; gone when it is closed.
---@param options? proa.fs.tmp_options
---@return proa.file? file
---@return string? message
---@return string? code
function fs.tmpfile(options) end

--- Make a directory that only this user may enter. It stays until it is
--- removed: `local _ <close> = proa.defer(function() fs.rm(dir, { recursive =
--- true }) end)`.
---@param options? proa.fs.tmp_options
---@return string? path
---@return string? message
---@return string? code
function fs.tmpdir(options) end

--- Watch files and directories (not what is below those). It is an iterator:
--- `for change in watch do`, which ends when the watch is closed.
---@param paths string|string[]
---@return proa.watch? watch
---@return string? message
---@return string? code ENOSPC: the system allows no more watches
function fs.watch(paths) end

---@class proa.fs.change
---@field kind "created"|"removed"|"moved_in"|"moved_out"|"changed"|"written"|"attributes"|"lost"
---  written: closed after it had been open to be written; lost: too many came
---  at once, some are missing
---@field path? string what it happened to; nil: of "lost"
---@field name? string ... in a directory that is watched
---@field watched? string what was asked for
---@field directory? boolean
---@field cookie? integer the same of a moved_out and its moved_in

--- What happens to files, in order. Has <close>, which is close().
---@class proa.watch
local watch = {}

--- The next change. Any task may ask; each change is given once.
---@param timeout? number seconds
---@return proa.fs.change? change
---@return string? message
---@return string? code TIMEOUT, CLOSED
function watch:next(timeout) end

--- Watch another path as well.
---@param path string
---@return proa.watch? itself
---@return string? message
---@return string? code
function watch:add(path) end

--- End it; who waits for a change gets CLOSED. Idempotent.
---@return boolean true
function watch:close() end
