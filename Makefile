# proa - build, try, check, install.  `make help` lists what there is.
#
# Everything that is made goes below $(BUILD); the source tree stays clean.
# Variables are honoured from the command line (CC CFLAGS CPPFLAGS LDFLAGS LUA
# LUA_INCDIR PREFIX DESTDIR also from the environment); CFLAGS are added after
# ours, so they win, but what a shared library needs is added after them.
# LuaRocks builds with the same rules: rockspec/ passes what it chose.
# Nothing here may fail while the file is read on a machine that has no
# compiler and no pkg-config yet: `make deps` is there to install them.
# SPDX-License-Identifier: MIT

LUA ?= lua5.4
ifeq ($(origin LUA_INCDIR),undefined)
LUA_INCDIR := $(or $(patsubst -I%,%,$(firstword $(shell \
  pkg-config --cflags-only-I lua5.4 2>/dev/null || \
  pkg-config --cflags-only-I lua-5.4 2>/dev/null || \
  pkg-config --cflags-only-I lua54 2>/dev/null))),/usr/include/lua5.4)
endif
ifeq ($(origin LUA_LIBS),undefined)
LUA_LIBS := $(or $(shell pkg-config --libs lua5.4 2>/dev/null || \
  pkg-config --libs lua-5.4 2>/dev/null || \
  pkg-config --libs lua54 2>/dev/null),-llua5.4)
endif
PREFIX ?= /usr/local
LUA_SHAREDIR ?= $(PREFIX)/share/lua/5.4
LUA_LIBDIR ?= $(PREFIX)/lib/lua/5.4
DOCDIR ?= $(PREFIX)/share/doc/proa
ADDRESS ?= 127.0.0.1:7000

# Optional parts, a word each: NAME:HEADER:LIBRARIES:PACKAGE. Where HEADER is
# found, csrc/lua_NAME.c becomes proa/NAME.so, linked with LIBRARIES (a comma
# between two); where not, the end of the build names Debian's PACKAGE.
PARTS =

# DEBUG=1 adds expensive checks; SANITIZE=1 is what `make asan` builds with.
yes = $(filter-out 0 no false,$(1))
# TSAN=1 and COVERAGE=1 are for `make tsan` and `make coverage`.
BUILD = $(strip $(if $(call yes,$(SANITIZE)),build/asan,$(if \
  $(call yes,$(TSAN)),build/tsan,$(if $(call yes,$(COVERAGE)),build/coverage,$(if \
  $(call yes,$(DEBUG)),build/debug,build)))))
WERROR ?= $(if $(call yes,$(CI)),1)

WARNINGS = -Wall -Wextra -Wpedantic $(if $(call yes,$(WERROR)),-Werror)
# -fno-plt: the core calls Lua's functions all the time, straight
OPTIMIZE = $(if $(call yes,$(DEBUG)),-O1 -g -DPROA_DEBUG,-O2 -g -fno-plt)
SANITIZERS = $(if $(call yes,$(SANITIZE)),-fsanitize=address$(comma)undefined \
  -fno-sanitize-recover=undefined -fno-omit-frame-pointer) \
  $(if $(call yes,$(TSAN)),-fsanitize=thread) \
  $(if $(call yes,$(COVERAGE)),--coverage -O0)
comma := ,
hash := \#

compile = $(CC) $(WARNINGS) $(OPTIMIZE) $(SANITIZERS) $(CPPFLAGS) $(CFLAGS) \
  $(addprefix -I,$(LIBURING_INCDIR)) \
  -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread
# every allocation of a debug build is a fault point, and counted
core_compile = $(compile) $(if $(call yes,$(DEBUG)),-include csrc/fault_alloc.h)
LIBFLAG ?= -shared
link_so = $(compile) $(LIBFLAG) $(LDFLAGS) -Wl,-z,nodelete
# LIBURING_INCDIR and LIBURING_LIBDIR: one that is not where compilers look
libs = $(addprefix -L,$(LIBURING_LIBDIR)) $(addprefix -Wl$(comma)-rpath=,\
  $(filter-out /lib% /usr/lib%,$(LIBURING_LIBDIR))) -luring -lpthread -lrt

# of a part: its Nth field; of parts: their names, and those that can be built
field = $(word $(1),$(subst :, ,$(2)))
names = $(foreach part,$(1),$(call field,1,$(part)))
has_header = $(shell echo '$(hash)include <$(1)>' | \
  $(compile) -E - >/dev/null 2>&1 && echo yes)
parts_here := $(foreach part,$(PARTS),$(if \
  $(call has_header,$(call field,2,$(part))),$(part)))

core_src := $(filter-out $(patsubst %,csrc/lua_%.c,$(call names,$(PARTS))),\
  $(sort $(wildcard csrc/*.c)))
test_src := $(sort $(wildcard spec/c/*_test.c))
obj := $(BUILD)/obj
core_obj := $(core_src:csrc/%.c=$(obj)/%.o)
# what the C tests link: everything that knows nothing of Lua
plain_obj := $(filter-out $(obj)/lua_%,$(core_obj))
core_so := $(BUILD)/lib/proa/core.so
part_obj := $(patsubst %,$(obj)/lua_%.o,$(call names,$(parts_here)))
part_so := $(part_obj:$(obj)/lua_%.o=$(BUILD)/lib/proa/%.so)
tests := $(test_src:spec/c/%.c=$(BUILD)/spec-c/%)
refuse := $(BUILD)/refuse
fault_host := $(BUILD)/fault-host
# runs a program on a terminal of its own, for the specs of terminals
pty := $(BUILD)/spec-c/pty
# the specs' own codec: a library beside the core, as real ones are
frames := $(BUILD)/lib/proa_spec_frames.so
sim_host := $(BUILD)/sim
bench_programs := $(addprefix $(BUILD)/bench/,load reference floor.so)

# absolute paths of the checkout, for a shell (spaces and quotes are fine)
squote = '$(subst ','\'',$(1))'
build_dir = $(if $(filter /%,$(BUILD)),$(BUILD),$(CURDIR)/$(BUILD))
lua_here = $(call squote,$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua)
so_here = $(call squote,$(build_dir)/lib/?.so)

# Shell code: puts this checkout in front of Lua's paths and exports them. A
# path that was set is kept, twice is once, and Lua's own default stays in.
define in_env
keep() { \
  case "$$3;" in ("$$2;"*) set -- "$$1" "$$2" "$$3" ;; \
    (*) set -- "$$1" "$$2" "$$2;$$3" ;; esac; \
  case "$$3" in (*';;'*) ;; (*';') set -- "$$1" "$$2" "$$3;" ;; \
    (*) set -- "$$1" "$$2" "$$3;;" ;; esac; \
  export "$$1=$$3"; \
}; \
keep LUA_PATH $(lua_here) "$${LUA_PATH-}"; \
keep LUA_CPATH $(so_here) "$${LUA_CPATH-}"; \
[ -z "$${LUA_PATH_5_4-}" ] || keep LUA_PATH_5_4 $(lua_here) "$$LUA_PATH_5_4"; \
[ -z "$${LUA_CPATH_5_4-}" ] || keep LUA_CPATH_5_4 $(so_here) "$$LUA_CPATH_5_4";
endef

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all objects deps deps-build deps-test run test test-c test-refused \
  spec-c sim bench bench-build lint format asan install uninstall rock clean \
  env help fault fault-run FORCE

## all           build proa.core (the default) and say what was built
all: $(core_so) $(part_so)
	@echo "proa $$(sed -n 's/^#define PROA_VERSION "\(.*\)"/\1/p' \
	  csrc/lua_core.h) is built, with liburing $$(cat $(BUILD)/liburing)"
	@echo 'optional parts:$(if $(PARTS),, there are none yet)'
	@$(foreach part,$(PARTS),echo '  $(call field,1,$(part)): $(if \
	  $(filter $(part),$(parts_here)),built,left out: no \
	  $(call field,2,$(part)); install $(call field,4,$(part)))';)

objects: $(core_obj) $(part_obj)
spec-c: $(tests) $(frames) $(pty)
	@:

$(core_so): $(core_obj)
	@mkdir -p $(@D)
	$(link_so) -o $@ $^ $(libs)

$(part_so): $(BUILD)/lib/proa/%.so: $(obj)/lua_%.o
	@mkdir -p $(@D)
	$(link_so) -o $@ $< $(addprefix -l,$(subst $(comma), ,\
	  $(call field,3,$(filter $*:%,$(PARTS)))))

# liburing's version; everything compiled depends on it. The header tells its
# version since 2.4 and has this flag since 2.3, the oldest that will do.
$(BUILD)/liburing: FORCE
	@mkdir -p $(@D)
	@found=$$(printf '%s\n' '#include <liburing.h>' \
	  'proa IO_URING_VERSION_MAJOR.IO_URING_VERSION_MINOR' \
	  'proa IORING_SETUP_DEFER_TASKRUN' | $(compile) -E -P - | \
	  sed -n 's/^proa//p' | tr -d ' \n'); \
	case $$found in \
	  (''|IO_URING_*IORING_*) \
	    echo 'proa needs liburing 2.3 or later with its header, and the' \
	      'compiler finds none; install' >&2; \
	    echo 'liburing-dev (Debian, Ubuntu, Alpine), liburing-devel (Fedora)' \
	      'or liburing (Arch)' >&2; \
	    exit 1 ;; \
	  (IO_URING_*) echo 2.3 ;; \
	  (*) echo "$${found%%[!0-9.]*}" ;; \
	esac >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Only the bindings see Lua's headers: the compiler checks the layering too.
$(obj)/lua_%.o: csrc/lua_%.c $(BUILD)/flags $(BUILD)/liburing
	@mkdir -p $(@D)
	$(core_compile) -I$(LUA_INCDIR) -MMD -MP -c -o $@ $<

$(obj)/%.o: csrc/%.c $(BUILD)/flags $(BUILD)/liburing
	@mkdir -p $(@D)
	$(core_compile) -MMD -MP -c -o $@ $<

$(BUILD)/spec-c/%: spec/c/%.c $(plain_obj) $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) -Icsrc -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< $(plain_obj) \
	  $(libs)

# a host program of its own: it loads core.so as any interpreter does
$(BUILD)/spec-c/lua_%: spec/c/lua_%.c $(core_so) $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) -I$(LUA_INCDIR) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
	  $(LUA_LIBS) -ldl

$(frames): spec/codec/frames.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) -Icsrc -I$(LUA_INCDIR) -MMD -MP -MF $@.d -shared $(LDFLAGS) \
	  -o $@ $<

# Lua inside it, where there is such a library: at one address in every run
sim_lua = $(or $(filter /%,$(shell $(CC) -print-file-name=liblua5.4.a)) -lm,\
  $(LUA_LIBS))
$(sim_host): spec/sim/host.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) -fno-pie -no-pie -rdynamic -I$(LUA_INCDIR) -MMD -MP -MF $@.d \
	  $(LDFLAGS) -o $@ $< $(sim_lua) -ldl

$(fault_host): spec/fault/host.c $(core_so) $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) -Icsrc -I$(LUA_INCDIR) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
	  $(LUA_LIBS) -ldl

$(pty): spec/sandbox/pty.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) $(LDFLAGS) -o $@ $<

$(refuse): spec/sandbox/refuse.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) $(LDFLAGS) -o $@ $<

bench_obj := $(patsubst %,$(BUILD)/bench/%.o,load load_epoll load_uring child)
$(BUILD)/bench/load: $(bench_obj)
	$(compile) $(LDFLAGS) -o $@ $^ $(libs)
$(BUILD)/bench/reference: $(BUILD)/bench/reference.o
	$(compile) $(LDFLAGS) -o $@ $^ $(libs)
$(BUILD)/bench/floor.so: $(BUILD)/bench/floor.o
	$(compile) -shared $(LDFLAGS) -o $@ $^

$(BUILD)/bench/%.o: spec/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(compile) -I$(LUA_INCDIR) -MMD -MP -c -o $@ $<

# Rewritten only when the flags change; everything compiled depends on it.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(call squote,$(link_so) $(libs) $(LUA_INCDIR)) >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

-include $(core_obj:.o=.d) $(part_obj:.o=.d) $(tests:=.d) $(frames).d \
  $(wildcard $(BUILD)/bench/*.d) $(sim_host).d

## deps          install what building, testing and linting need
deps deps-build deps-test: export PROA_CC = $(CC) $(CPPFLAGS) $(CFLAGS)
deps deps-build deps-test: export PROA_LUA = $(LUA)
deps deps-build deps-test: export PROA_LUA_INCDIR = $(LUA_INCDIR)
deps:
	@bash .ci/deps build test lint
deps-build:
	@bash .ci/deps build
deps-test:
	@bash .ci/deps build test

## run           build and start the echo server (ADDRESS=127.0.0.1:7000)
run: deps-build
	@$(MAKE) all
	@echo
	@$(in_env) $(LUA) examples/echo_server.lua $(ADDRESS) | { \
	  trap '' INT; \
	  IFS= read -r said || exit 1; \
	  address=$${said#listening on }; \
	  echo "The echo server is $$said; Ctrl-C drains and ends it."; \
	  echo 'Talk to it from another terminal, in this directory:'; \
	  case $$address in unix:*) nc= ;; *) nc=$$(command -v nc) ;; esac; \
	  if [ "$$nc" ]; then \
	    echo "    nc $${address%:*} $${address##*:}"; \
	  else \
	    echo '    eval "$$(make -s env)"'; \
	    echo "    $(LUA) examples/echo_client.lua $$address"; \
	  fi; \
	  echo; cat; }

## test          C tests, then every spec on each driver
###               DRIVER=uring|poll|sim  FILTER=pattern  SEED=n  LIMIT=seconds
test: deps-test
	@$(MAKE) all spec-c bench-build $(sim_host)
	@$(in_env) $(run_env) bash spec/run

run_env = PROA_BUILD=$(call squote,$(build_dir)) PROA_LUA='$(LUA)' \
  PROA_CC='$(CC)' DRIVER='$(DRIVER)' SEED='$(SEED)' LIMIT='$(LIMIT)' \
  FILTER=$(call squote,$(FILTER))

## test-c        only the C tests
test-c: deps-build
	@$(MAKE) spec-c
	@$(in_env) $(run_env) bash spec/run --c-only

## test-refused  where the kernel refuses io_uring: seccomp, memlock
test-refused: deps-test
	@$(MAKE) all $(refuse)
	@$(in_env) $(run_env) bash spec/run-refused

# (without -Werror: sanitizers lead gcc's flow warnings astray)
## asan          the same tests under AddressSanitizer and UBSan
asan: deps-test
	@$(MAKE) SANITIZE=1 DEBUG=1 WERROR=0 CC=$(ASAN_CC) asan-run
ASAN_CC ?= gcc
.PHONY: asan-run
asan-run: all spec-c bench-build $(sim_host)
	@$(in_env) $(run_env) bash spec/run --asan

## sim           random programs on the simulation: SEED=n N=1000
###               KIND=streams  TRACE=1 (each completion)  REPLAY=1 (each twice)
sim: deps-build
	@$(MAKE) all spec-c $(sim_host)
	@$(in_env) $(sim_env) $(sim_host) $(if $(REPLAY),--replay)
sim_env = SEED='$(SEED)' N='$(N)' KIND='$(KIND)' TRACE='$(TRACE)'

## fault         each allocation, system call and op fails, in every scenario
###               of spec/fault/; QUICK=1  DRIVER=  MODE=once|gc|outage|points
fault: deps-test
	@$(MAKE) DEBUG=1 fault-run
fault-run: all spec-c $(fault_host)
	@$(in_env) $(run_env) QUICK='$(QUICK)' MODE='$(MODE)' \
	  SCENARIO=$(call squote,$(SCENARIO)) bash spec/run-fault

# (spec/README.md says what each of these tries, and promises)
## gc-stress     collections between any two resumes; QUICK=1  DRIVER=
## valgrind      memcheck over C tests and scenarios; QUICK=1
## tsan          the race detector: worker threads, wake-ups
## fuzz          random scripts agree on every driver: SEED=n N=1000
## soak          churn on io_uring and epoll, loopback alone: MINUTES=10
## blocking      strace: no call on the loop's thread could block; DRIVER=
## coverage      which lines of csrc/ the tests reach
gc-stress: deps-test
	@$(MAKE) DEBUG=1 tool-run TOOL=gc-stress
valgrind: deps
	@$(MAKE) DEBUG=1 tool-run TOOL=valgrind
tsan: deps-test
	@$(MAKE) DEBUG=1 TSAN=1 WERROR=0 tool-run TOOL=tsan
coverage: deps-test
	@$(MAKE) DEBUG=1 COVERAGE=1 WERROR=0 tool-run TOOL=coverage
fuzz soak blocking: deps-test
	@$(MAKE) tool-run TOOL=$@
tool-run: all spec-c $(if $(call yes,$(DEBUG)),$(fault_host))
	@$(in_env) $(run_env) QUICK='$(QUICK)' N='$(N)' MINUTES='$(MINUTES)' \
	  bash spec/run-tool $(TOOL)
.PHONY: gc-stress valgrind tsan coverage fuzz soak blocking tool-run

## bench         proa beside C and its peers (what is installed), in tables
###               KIND=echo,tasks  NAMES=proa-uring,luv  ROUNDS=3  SECONDS=1
###               CONNS=64  IDLE=10000  TASKS=100000  SERVER=command
###               what each means is in spec/bench/README.md
bench: deps-build
	@$(MAKE) all bench-build
	@$(in_env) $(run_env) $(LUA) spec/bench/run.lua $(bench_options)

bench-build: $(bench_programs)
	@:

bench_options = $(foreach name,KIND NAMES ROUNDS SECONDS CONNS IDLE TASKS \
  SERVER,$(call squote,$(name)=$($(name))))

## lint          layering, headers, format, luacheck, warnings of two compilers
lint: deps
	@bash .ci/lint

## format        clang-format the C sources
format:
	clang-format -i csrc/*.[ch] $(wildcard spec/c/*.[ch]) \
	  spec/sandbox/*.c spec/codec/*.c spec/fault/*.c spec/bench/*.[ch] spec/sim/*.c \
	  spec/foreign/*.c

## install       into $(DESTDIR)$(PREFIX); LuaRocks comes here too
to = $(call squote,$(DESTDIR)$(1))
install: $(core_so) $(part_so)
	@set -e; put() { install -D -m "$$1" "$$2" "$$3$$4"; }; \
	find lua/proa -name '*.lua' | while read -r file; do \
	  put 644 "$$file" $(call to,$(LUA_SHAREDIR)) "/$${file#lua/}"; \
	done; \
	for file in $(core_so) $(part_so); do \
	  put 755 "$$file" $(call to,$(LUA_LIBDIR)) "/proa/$${file##*/}"; \
	done; \
	for file in $(docs); do \
	  put 644 "$$file" $(call to,$(DOCDIR)) "/$$file"; \
	done
	@printf 'installed into %s\n' $(call to,$(LUA_SHAREDIR))/proa \
	  $(call to,$(LUA_LIBDIR))/proa $(call to,$(DOCDIR))
docs := README.md CHANGELOG.md LICENSE $(sort $(wildcard examples/*.lua))

uninstall:
	rm -rf $(call to,$(LUA_SHAREDIR))/proa $(call to,$(LUA_LIBDIR))/proa
	rm -f $(addprefix $(call to,$(DOCDIR))/,$(docs))
	@rmdir $(call to,$(DOCDIR))/examples $(call to,$(DOCDIR)) 2>/dev/null || :

## rock          pack the last commit into build/: ROCK=scm-1
# The rockspec's address is not asked: git takes this checkout for it.
ROCK = scm-1
rock:
	@mkdir -p build
	@url=$$(sed -n 's/.*url = "git+\(.*\)".*/\1/p' \
	  rockspec/proa-$(ROCK).rockspec); \
	cd build && GIT_CONFIG_COUNT=1 GIT_CONFIG_VALUE_0="$$url" \
	  GIT_CONFIG_KEY_0=url.file://$(call squote,$(CURDIR)).insteadOf \
	  $(LUAROCKS) pack ../rockspec/proa-$(ROCK).rockspec
LUAROCKS ?= luarocks --lua-version 5.4

## clean         remove build/
clean:
	rm -rf build

## env           eval "$(make -s env)" lets plain lua5.4 use this checkout
env:
	@$(in_env) for name in LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4; do \
	  eval "value=\$${$$name-}"; \
	  [ -z "$$value" ] || printf "export %s='%s'\n" "$$name" \
	    "$$(printf '%s' "$$value" | sed "s/'/'\\\\''/g")"; \
	done

## help          this list
help:
	@sed -n 's/^## /  make /p; s/^### /       /p' $(firstword $(MAKEFILE_LIST))

FORCE:
