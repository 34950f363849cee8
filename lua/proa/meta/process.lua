---@meta _
-- Children: started by a clone that holds the loop until their exec, and waited
-- for by a descriptor (pidfd), never by SIGCHLD. They get the descriptors 0, 1
-- and 2 and no others, an empty signal mask and the default SIGPIPE. If
-- SIGCHLD is ignored in this process it is set to its default, because the
-- kernel would throw the statuses away.
-- SPDX-License-Identifier: MIT

---@class proa.process_module
local process = {}

---@alias proa.stdio_file { path: string, mode: string? }
---@alias proa.stdio_of string|integer|file*|proa.fd|proa.stream|proa.stdio_file
---  "pipe": a stream of ours, p.stdin, p.stdout or p.stderr; "null":
---  /dev/null; "inherit": this process's; "stdout" (for stderr): where stdout
---  goes; a path, with a slash in it: opened here, by waiting, for reading or
---  anew for writing, or {path =, mode = "a"} with a mode as io.open takes it;
---  a descriptor or file: the child gets its own copy; a stream: if it has a
---  descriptor and nothing queued the child gets a copy of that, else a task
---  copies between it and a pipe. Neither is closed here.

---@class proa.spawn_options
---@field [integer] string|number the program and its arguments. Without a
---  slash it is looked for in this process's PATH
---@field shell? string instead of those: a command for /bin/sh -c
---@field env? table<string, string|number|false> added to this process's
---  environment; false takes away
---@field clean_env? boolean nothing but `env`; default false
---@field cwd? string directory to start in; a program named by a relative path
---  is looked for there
---@field stdin? proa.stdio_of default "null"
---@field stdout? proa.stdio_of default "inherit"; of run: "pipe"
---@field stderr? proa.stdio_of default "inherit"; of run: "pipe"
---@field uid? integer becomes this user; root's supplementary groups go
---@field gid? integer becomes of this group, and of no other
---@field new_session? boolean it leads a session and a process group of its
---  own, and close means the whole group; default false
---@field grace? number seconds between TERM and KILL; default 5

--- Start a program. Returns as soon as it has begun; only a path among its
--- streams is waited for. Raises for what is no option.
---@param options proa.spawn_options unknown keys raise
---@return proa.process? process
---@return string? message "spawn ls (in /nowhere): no such file or directory"
---@return string? code ENOENT, EACCES, E2BIG, EAGAIN, EMFILE, ENOSYS (a kernel
---  before 5.4) ...
function process.spawn(options) end

---@class proa.run_options: proa.spawn_options
---@field input? string what it finds at its stdin; it need not read all of it
---@field max? integer bytes of each of stdout and stderr; default 64 MiB
---@field timeout? number seconds for all of it

---@class proa.run_result: proa.exit
---@field stdout? string nil: it was no "pipe"
---@field stderr? string
---@field held? boolean somebody else still had its pipes when it had ended, for
---  `grace` seconds more: what comes later is not here

--- Run a program to its end and collect what it writes. However this is left
--- (a limit, a cancellation, an error), the program is ended as by close.
---@param options proa.run_options unknown keys raise
---@return proa.run_result? result also of a program that failed: see ok
---@return string? message
---@return string? code TIMEOUT, LIMIT (more than max bytes), or spawn's
---@return proa.run_result? partial what there was at TIMEOUT and LIMIT, without
---  a status
function process.run(options) end

---@class proa.exit
---@field ok boolean it exited with 0
---@field code? integer it exited with; nil: it was killed
---@field signal? string|integer that killed it: "KILL"; a number if it has no
---  name

--- A child. Entry of select, all, any, race: its result is wait's. Collecting
--- it ends nothing: the child lives on, and is reaped when it ends. <close> is
--- close().
---@class proa.process
---@field pid integer
---@field stdin? proa.stream to write to, if it was "pipe"; closing it is the
---  child's end of file
---@field stdout? proa.stream to read from, if it was "pipe"
---@field stderr? proa.stream to read from, if it was "pipe"
local object = {}

--- Wait for its end; any number of tasks may. A child that is stopped has not
--- ended. What it said has then been passed on to files and streams of proa, too,
--- unless others hold its pipes for longer than `grace`; as an entry of select
--- the end alone counts.
---@param timeout? number seconds
---@return proa.exit? result
---@return string? message
---@return string? code TIMEOUT; ECHILD: others of this process reaped it
function object:wait(timeout) end

--- Send it a signal, whoever else gets its number later.
---@param signal? string|integer "TERM", "SIGTERM", 15; default TERM
---@param group? boolean all of its process group; needs new_session
---@return boolean? done
---@return string? message
---@return string? code ESRCH: it has ended; EPERM
function object:kill(signal, group) end

--- End it: its streams are closed, it gets TERM now and KILL when the grace is
--- over, and is reaped. Returns at once; run and the end of the program wait
--- for it. Does nothing to one that has ended; wait may still be asked.
function object:close() end
