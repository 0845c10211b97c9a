# tomofs: build, test, install. See README.md; `make help` lists the goals.

CC ?= gcc
BUILD ?= build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
PREFIX ?= /usr/local
comma := ,

PKGS_store := libzstd libxxhash libcrypto jansson
PKGS_index := lmdb
PKGS_fs := fuse3 libtiff-4 zlib expat
PKGS := $(PKGS_store) $(PKGS_index) $(PKGS_fs)

SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 \
	-Wunused-result -Wno-missing-field-initializers
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 $(CFLAGS) $(WARN) $(SANFLAGS) -pthread
LDFLAGS += $(SANFLAGS) -pthread

LAYERS := store index fs tools
SRC_store := $(wildcard store/*.c)
SRC_index := $(wildcard index/*.c)
SRC_fs := $(wildcard fs/*.c fs/*/*.c)
SRC_tools := $(wildcard tools/*.c)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIBS_store = $(BUILD)/store.a
LIBS_index = $(BUILD)/index.a $(LIBS_store)
LIBS_fs = $(BUILD)/fs.a $(LIBS_index)
ext_store = $(shell pkg-config --libs $(PKGS_store))
ext_index = $(shell pkg-config --libs $(PKGS_index)) $(ext_store)
ext_fs = $(shell pkg-config --libs $(PKGS_fs)) -lm $(ext_index)

TEST_SRC := $(wildcard tests/store_*.c tests/fuzz_*.c tests/index_*.c tests/fs_*.c tests/crash_*.c)
TEST_BIN := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))
# disk*.c stand in for the C library's functions, so only the tests of crashes have them.
TEST_DISK := $(wildcard tests/lib/disk*.c)
TEST_COMMON := $(filter-out $(TEST_DISK),$(wildcard tests/lib/*.c))
# What make bench measures with; jpegls needs CharLS, which is there after `make bench-deps`.
HAVE_CHARLS := $(wildcard /usr/include/charls/charls.h /usr/local/include/charls/charls.h)
BENCH_SRC := $(if $(HAVE_CHARLS),$(wildcard tests/bench/*.c),$(filter-out tests/bench/jpegls.c,$(wildcard tests/bench/*.c)))
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(BENCH_SRC))

.PHONY: all deps build-deps bench-deps bench-programs test test-long fuzz fuzz-coverage demo bench install uninstall clean help check-layers
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BUILD)/tomofs

help:
	@echo 'make                  build $(BUILD)/tomofs'
	@echo 'make demo [DATA=DIR]  install what is missing, build, and show the main job on a real mount'
	@echo 'make test [T=name]    all quick tests, or one (T=store_pack, T=mount_datasets)'
	@echo 'make SAN=address,undefined test    the same with sanitizers; SAN=thread likewise'
	@echo 'make bench [SIZE_MB= ROUNDS= DIR= SCAN= BENCH_DEPS=1]   times and sizes beside ext4, btrfs, borg ...; see tests/bench.sh'
	@echo 'make test-long         the slow ones too'
	@echo 'make fuzz [TIME=60] [FUZZ=name]   hostile bytes for every parser, with clang; make fuzz-coverage: how much of them is tried'
	@echo 'make install PREFIX= DESTDIR='

deps:
	@./tools/install-deps.sh

# Before pkg-config is asked: it may not be there yet, so the build proper is a make of its own.
build-deps:
	@./tools/install-deps.sh --build

$(BUILD)/tomofs: $(call obj,$(SRC_tools)) $(LIBS_fs)
	$(CC) $(LDFLAGS) -o $@ $^ $(ext_fs)

$(BUILD)/store.a: $(call obj,$(SRC_store))
$(BUILD)/index.a: $(call obj,$(SRC_index))
$(BUILD)/fs.a: $(call obj,$(SRC_fs))
$(BUILD)/testlib.a: $(call obj,$(TEST_COMMON))
$(BUILD)/%.a:
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(shell pkg-config --cflags $(PKGS)) -MMD -MP -c -o $@ $<

# A test is linked with its own layer and what lies below it, so an upward call does not link.
$(BUILD)/tests/store_%: $(BUILD)/tests/store_%.o $(BUILD)/testlib.a $(LIBS_store)
	$(CC) $(LDFLAGS) -o $@ $^ $(ext_store)
# Those of hostile bytes: the same file as a test over the saved inputs, and (make fuzz) for libFuzzer.
FUZZ_WRAP := -Wl,--wrap=log_line $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc reallocarray strdup strndup)
$(BUILD)/tests/fuzz_%: $(BUILD)/tests/fuzz_%.o $(BUILD)/testlib.a $(LIBS_fs)
	$(CC) $(LDFLAGS) $(FUZZ_WRAP) -o $@ $^ $(ext_fs)
$(BUILD)/fuzzers/%: $(BUILD)/tests/fuzz_%.o $(BUILD)/testlib.a $(LIBS_fs)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -fsanitize=fuzzer $(FUZZ_WRAP) -o $@ $^ $(ext_fs)
$(BUILD)/tests/index_%: $(BUILD)/tests/index_%.o $(BUILD)/testlib.a $(LIBS_index)
	$(CC) $(LDFLAGS) -o $@ $^ $(ext_index)
$(BUILD)/tests/fs_%: $(BUILD)/tests/fs_%.o $(BUILD)/testlib.a $(LIBS_fs)
	$(CC) $(LDFLAGS) -o $@ $^ $(ext_fs)
$(BUILD)/tests/crash_%: $(BUILD)/tests/crash_%.o $(call obj,$(TEST_DISK)) $(BUILD)/testlib.a $(LIBS_fs)
	$(CC) $(LDFLAGS) -o $@ $^ $(ext_fs)

# TIME: seconds for each target; FUZZ: which ones. New inputs are kept in build-fuzz/corpus, what fails in build-fuzz/failed.
TIME ?= 60
FUZZ ?= $(patsubst tests/fuzz_%.c,%,$(wildcard tests/fuzz_*.c))
FUZZ_MAKE = $(MAKE) --no-print-directory -s CC=clang CFLAGS='-O1 -g'
fuzz: deps
	@+$(FUZZ_MAKE) BUILD=build-fuzz SAN=fuzzer-no-link,address,undefined $(FUZZ:%=build-fuzz/fuzzers/%)
	@TIME=$(TIME) ./tests/fuzz.sh run $(FUZZ)

# How much of the code that reads foreign and stored bytes the saved inputs and the tests go through.
fuzz-coverage: deps
	@+CLANG_MAKE="$(FUZZ_MAKE)" ./tests/fuzz.sh coverage

check-layers:
	@./tests/check-layers.sh

test: deps
	@+BUILD=$(BUILD) SAN='$(SAN)' ./tests/run.sh $(T)

test-long: deps
	@+BUILD=$(BUILD) SAN='$(SAN)' LONG=1 ./tests/run.sh $(T)

demo: build-deps
	@$(MAKE) --no-print-directory -s -j2 all $(BUILD)/phantom
	@BUILD=$(BUILD) DATA='$(DATA)' ./demo/demo.sh

bench: $(if $(BENCH_DEPS),bench-deps,deps)
	@$(MAKE) --no-print-directory -s -j2 all $(BUILD)/phantom bench-programs
	@BUILD=$(BUILD) ./tests/bench.sh

# What make bench compares with: borg, restic, casync, btrfs, squashfs, CharLS.
bench-deps:
	@./tools/install-deps.sh --bench

bench-programs: $(BENCH_BIN)
$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(LIBS_index)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(if $(filter jpegls,$*),-lcharls) $(ext_fs)

$(BUILD)/phantom: $(BUILD)/demo/phantom.o
	$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libtiff-4) -lm

# Cases of POSIX for a folder of any file system; needs nothing of tomofs.
$(BUILD)/posix: $(call obj,$(wildcard tests/posix/*.c))
	$(CC) $(LDFLAGS) -o $@ $^

# The helper lets mount(8) and /etc/fstab mount a store: STORE MNT fuse.tomofs defaults 0 0
install: all
	install -D -m 755 $(BUILD)/tomofs $(DESTDIR)$(PREFIX)/bin/tomofs
	install -D -m 644 tools/tomofs.1 $(DESTDIR)$(PREFIX)/share/man/man1/tomofs.1
	install -D -m 644 tools/tomofs@.service $(DESTDIR)$(PREFIX)/lib/systemd/system/tomofs@.service
	sed -i 's|@PREFIX@|$(PREFIX)|' $(DESTDIR)$(PREFIX)/lib/systemd/system/tomofs@.service
	install -d $(DESTDIR)/sbin
	ln -sf $(PREFIX)/bin/tomofs $(DESTDIR)/sbin/mount.fuse.tomofs

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/tomofs $(DESTDIR)$(PREFIX)/share/man/man1/tomofs.1 \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/tomofs@.service $(DESTDIR)/sbin/mount.fuse.tomofs

clean:
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
