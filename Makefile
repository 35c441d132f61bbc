
# Copyright (C) the ngx_http_bitrix1c_module authors
#
# Everything that a person runs is here; "make" alone tells what there is.
# All that is made stays in build/.

## release or debug, for Debian's nginx, or sanitize, with an nginx of its own
BUILD = release

## where "make demo" and "make run" keep their files
DIR = build/run
## port of 127.0.0.1 that "make demo" and "make run" take for the gateway
PORT = 8080
## the same for the stand-in of 1C
ONEC_PORT = 8081
## and for that of Bitrix
PORTAL_PORT = 8082

## "make torture": only faults with this in their names, all if empty
FAULTS =
## its seed, of the clock if empty
SEED =
## how long it goes on; if empty, EVENTS decide
MINUTES =

## seconds that each fuzzer runs
FUZZ_TIME = 30

## how often "make bench" repeats each measurement; the median is shown
ROUNDS = 3
## seconds of load in each of them
DURATION = 6
## connections of the load
CONNECTIONS = 64
## how many waiting events it drains; "make torture" posts 200000
EVENTS = 100000
## events a second, for a fifth of them
RATE = 2000


NGINX_SRC = /usr/share/nginx/src

DEPS_BUILD = gcc libc6-dev libcjson-dev libhiredis-dev libssl-dev nginx \
             nginx-dev zlib1g-dev
DEPS_RUN   = curl perl redis-server
DEPS_HARM  = iproute2
DEPS_TEST  = chromium chromium-driver clang fonts-dejavu-core libclang-rt-dev \
             libnginx-mod-http-echo libnginx-mod-http-headers-more-filter \
             libnginx-mod-http-js libnginx-mod-http-lua libnginx-mod-http-perl \
             libnginx-mod-http-subs-filter libtest-base-perl openssl php-cli \
             php-mbstring prometheus
DEPS_BENCH = libnginx-mod-http-lua lua-cjson wrk

NAME = ngx_http_bitrix1c_module
TOP  = $(CURDIR)
OUT  = build/$(BUILD)
OBJS = $(OUT)/objs
SRCS = $(sort $(wildcard $(NAME)/*.c $(NAME)/*/*.c))
LUA  = $(sort $(wildcard redis/*.lua redis/lib/*.lua))
EVENTS_TSV = events/events.tsv
PAGE = $(sort $(wildcard page/*.html page/*.css page/*.js))

# what nginx's own headers allow beyond its -W -Wall -Wpointer-arith -Werror

WARN = -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes -Wvla
MAP  = -ffile-prefix-map=$(TOP)=.

CC_OPT_release = -g -O2 $(MAP) -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
                 -Wdate-time $(WARN)
LD_OPT_release = -Wl,-z,relro -Wl,-z,now

CC_OPT_debug = -g3 -O0 -fno-omit-frame-pointer $(MAP) $(WARN)
LD_OPT_debug =

# nginx gives every allocation from a pool a malloc() of its own, or a write
# past its end would not be seen; its own code is not free of what UBSan
# objects to, so only the module is instrumented for that; and the module is
# not unloaded at exit, or leaks would have no names

CC_OPT_sanitize = -g -O1 -fno-omit-frame-pointer $(MAP) -fsanitize=address \
                  -DNGX_DEBUG_PALLOC=1
LD_OPT_sanitize = -fsanitize=address
CC_sanitize     = $(CC) $(WARN) -fsanitize=undefined \
                  -fno-sanitize-recover=undefined -Wl,-z,nodelete

ifeq ($(BUILD),sanitize)
MODULE       = $(TOP)/$(OUT)/$(NAME).so
NGINX_BINARY = $(TOP)/$(OUT)/nginx
else ifneq ($(filter release debug,$(BUILD)),)
MODULE       = $(TOP)/build/$(NAME).so
NGINX_BINARY = /usr/sbin/nginx
else
$(error BUILD is release, debug or sanitize, not "$(BUILD)")
endif


.PHONY: help
help:	## show this
	@echo "usage: make target [VARIABLE=value ...]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## */\1	/p' Makefile \
		| awk -F '\t' '{ printf "  %-8s %s\n", $$1, $$2 }'
	@echo
	@awk '/^## / { doc = substr($$0, 4); next } \
		doc != "" { printf "  %-12s %-10s %s\n", $$1, $$3, doc } \
		{ doc = "" }' Makefile


.PHONY: deps
deps:	## install what is missing to build and to run (Debian, root)
	@sh tools/deps.sh $(DEPS_BUILD) $(DEPS_RUN)


# one build at a time in one checkout; nothing is written outside build/

.PHONY: build
build:	## compile the module to build/ngx_http_bitrix1c_module.so
	@sh tools/deps.sh $(DEPS_BUILD)
	@mkdir -p $(OUT)
	@flock build/.lock $(MAKE) --no-print-directory BUILD=$(BUILD) \
		$(if $(filter sanitize,$(BUILD)),$(NGINX_BINARY)) $(MODULE)


# what the configuration is made from: a change of any of it runs it again

$(OUT)/configure.args: FORCE
	@printf '%s\n' $(SRCS) '$(CC) $(CC_OPT_$(BUILD)) $(LD_OPT_$(BUILD))' \
		"`dpkg-query -W nginx-dev`" > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(OBJS)/Makefile: $(OUT)/configure.args config config.map
	@echo "configuring $(OUT)"
	@mkdir -p $(OBJS)
ifeq ($(BUILD),sanitize)
	@tree=`sh tools/nginx-source.sh build` \
		&& ln -sfn ../../$$tree/auto $(OUT)/auto \
		&& ln -sfn ../../$$tree/src $(OUT)/src \
		&& ln -sfn ../../$$tree/configure $(OUT)/configure
else
	@ln -sfn $(NGINX_SRC)/auto $(OUT)/auto
	@ln -sfn $(NGINX_SRC)/src $(OUT)/src
	@ln -sfn $(NGINX_SRC)/configure $(OUT)/configure
endif
	@cd $(OUT) && bash -c '. $(NGINX_SRC)/conf_flags \
		&& ./configure "$${NGX_CONF_FLAGS[@]}" --builddir=objs \
			--with-cc="$(CC)" --with-cc-opt="$(CC_OPT_$(BUILD))" \
			--with-ld-opt="$(LD_OPT_$(BUILD))" \
			--add-dynamic-module=$(TOP)' > configure.log 2>&1 \
		|| { tail -n 5 configure.log >&2; rm -f objs/Makefile; exit 1; }

$(OBJS)/b1c_lua.h: $(LUA) redis/embed.sh $(OBJS)/Makefile
	@sh redis/embed.sh redis > $@.new
	@mv $@.new $@

$(OBJS)/b1c_page.h: $(PAGE) page/embed.sh $(OBJS)/Makefile
	@sh page/embed.sh page > $@.new
	@mv $@.new $@

$(OBJS)/b1c_events.h: $(EVENTS_TSV) events/embed.sh $(OBJS)/Makefile
	@sh events/embed.sh $(EVENTS_TSV) > $@.new
	@mv $@.new $@

$(OBJS)/$(NAME).so: $(OBJS)/Makefile $(OBJS)/b1c_lua.h \
		$(OBJS)/b1c_page.h $(OBJS)/b1c_events.h FORCE
	@$(MAKE) -s -j`nproc` -C $(OUT) -f objs/Makefile modules \
		CC='$(or $(CC_$(BUILD)),$(CC))'

# loaded once, because only that finds a function that nobody defines, and moved
# into place, because a running nginx has the old one mapped

$(MODULE): $(OBJS)/$(NAME).so
	@printf '%s\n' "load_module $(TOP)/$<;" "pid $(TOP)/$(OUT)/check.pid;" \
		"error_log stderr;" "events { }" > $(OUT)/check.conf
	@$(NGINX_BINARY) -q -t -c $(TOP)/$(OUT)/check.conf
	@cmp -s $< $@ || { cp $< $@.new && mv $@.new $@; }

$(OBJS)/sanitize.o: tools/sanitize.c $(OBJS)/Makefile
	@cd $(OUT) && $(CC) -c -g -O1 -W -Wall -Werror -Wno-unused-parameter \
		-I src/core -I src/event -I src/os/unix -I objs \
		-o objs/sanitize.o $(TOP)/$<
	@rm -f $(OBJS)/nginx

$(TOP)/$(OUT)/nginx: $(OBJS)/Makefile $(OBJS)/sanitize.o FORCE
	@$(MAKE) -s -j`nproc` -C $(OUT) -f objs/Makefile binary \
		LINK='$(CC) objs/sanitize.o'
	@cmp -s $(OBJS)/nginx $@ || { cp $(OBJS)/nginx $@.new && mv $@.new $@; }

# the pure parts are tested and fuzzed alone

PURE_C  = $(sort $(wildcard $(NAME)/core/*.c $(NAME)/bitrix/*.c))
PURE_H  = $(wildcard $(NAME)/core/*.h $(NAME)/bitrix/*.h t/unit/*.h t/fuzz/*.h)
PURE_I  = -I $(NAME)/core -I $(NAME)/bitrix -I build/pure
PURE_E  = build/pure/b1c_events.h
UNITS   = $(patsubst t/unit/%.c,$(OUT)/unit/%,$(wildcard t/unit/test_*.c))
FUZZERS = $(patsubst t/fuzz/%.c,build/fuzz/%.sh,$(wildcard t/fuzz/fuzz_*.c))

UNIT_release  = -g -O2 -D_FORTIFY_SOURCE=2
UNIT_debug    = -g3 -O0
UNIT_sanitize = -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                -fno-sanitize-recover=undefined

$(PURE_E): $(EVENTS_TSV) events/embed.sh
	@mkdir -p $(@D)
	@sh events/embed.sh $(EVENTS_TSV) > $@.new
	@mv $@.new $@

$(OUT)/unit/%: t/unit/%.c $(PURE_C) $(PURE_H) $(PURE_E)
	@mkdir -p $(@D)
	@$(CC) $(UNIT_$(BUILD)) -W -Wall -Werror -Wno-unused-parameter $(WARN) \
		$(PURE_I) -o $@ $< $(PURE_C) -lcjson -lz

build/fuzz/%.sh: build/fuzz/%
	@ln -sf ../../tools/fuzz.sh $@

.PRECIOUS: build/fuzz/%
build/fuzz/%: t/fuzz/%.c $(PURE_C) $(PURE_H) $(PURE_E)
	@mkdir -p $(@D)
	@clang -g -O1 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined -W -Wall -Werror \
		-Wno-unused-parameter $(PURE_I) -o $@ $< $(PURE_C) -lcjson -lz


# the fuzzers bring a sanitizer of their own, BUILD=sanitize need not run them

PROGRAMS = $(UNITS) $(if $(filter sanitize,$(BUILD)),,$(FUZZERS))
VIEW     = $(OUT)/unit/view_door
TESTS    = $(PROGRAMS) $(sort $(wildcard t/*.t))

# A module that MODULE= names is tested as it is, by the nginx of NGINX_BINARY=,
# for which it was built.  That nginx must have threads and the modules http_ssl,
# http_realip and http_auth_request; without http_v2 the tests of HTTP/2 are
# skipped.

BUILT = $(if $(filter command,$(origin MODULE)),,build)

.PHONY: test
test: arch test-deps $(BUILT)	## run all tests, or those of TESTS="t/one.t ..."
	@$(MAKE) -s --no-print-directory -j`nproc` BUILD=$(BUILD) $(PROGRAMS) \
		$(VIEW)
	@BUILD=$(BUILD) NGINX_BINARY=$(NGINX_BINARY) MODULE=$(MODULE) \
		VIEW_DOOR=$(VIEW) \
		FUZZ_TIME=$(FUZZ_TIME) sh tools/test.sh $(TESTS)

.PHONY: test-deps
test-deps:
	@sh tools/deps.sh $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST) $(DEPS_HARM)

.PHONY: picture
picture: test-deps	## take the picture of the dashboard again
	@BITRIX1C_TEST_PICTURE=docs/dashboard.png prove -It/lib t/page-states.t

.PHONY: arch
arch:	## check the layers, folders and names of the sources
	@perl tools/arch.pl

.PHONY: unit
unit:	## run the unit tests alone
	@sh tools/deps.sh $(DEPS_BUILD)
	@$(MAKE) -s --no-print-directory BUILD=$(BUILD) $(UNITS)
	@prove $(UNITS)

.PHONY: fuzz
fuzz:	## run the fuzzers alone, FUZZ_TIME seconds each
	@sh tools/deps.sh $(DEPS_BUILD) $(DEPS_TEST)
	@$(MAKE) -s --no-print-directory $(FUZZERS)
	@FUZZ_TIME=$(FUZZ_TIME) prove --timer -j `nproc` $(FUZZERS)


# EVENTS has another default here than for "make bench"

TORTURE = $(if $(FAULTS),--faults='$(FAULTS)') \
          $(if $(SEED),--seed=$(SEED)) $(if $(MINUTES),--minutes=$(MINUTES)) \
          $(if $(filter command environment,$(origin EVENTS)),--events=$(EVENTS))

.PHONY: torture
torture: $(BUILT)	## harm it under load in every way, check that nothing is lost
	@sh tools/deps.sh $(DEPS_RUN) $(DEPS_HARM)
	@TEST_NGINX_BINARY=$(NGINX_BINARY) TEST_NGINX_LOAD_MODULES=$(MODULE) \
		perl tools/torture.pl $(TORTURE)


DEMO = DIR='$(DIR)' PORT=$(PORT) ONEC_PORT=$(ONEC_PORT) \
       PORTAL_PORT=$(PORTAL_PORT) MODULE=$(MODULE) \
       NGINX_BINARY=$(NGINX_BINARY) sh tools/demo.sh

.PHONY: demo
demo: deps build	## post an order, show what 1C received, stop
	@$(DEMO) demo

.PHONY: run
run: deps build	## the same, then show deliveries until Ctrl-C
	@$(DEMO) run


.PHONY: bench
bench: build	## compare with bare proxy_pass and with Lua; drain queues; spool; calls
	@sh tools/deps.sh $(DEPS_RUN) $(DEPS_BENCH)
	@NGINX_BINARY=$(NGINX_BINARY) MODULE=$(MODULE) ROUNDS=$(ROUNDS) \
		DURATION=$(DURATION) CONNECTIONS=$(CONNECTIONS) \
		perl bench/run.pl
	@echo
	@NGINX_BINARY=$(NGINX_BINARY) MODULE=$(MODULE) EVENTS=$(EVENTS) \
		RATE=$(RATE) perl bench/drain.pl
	@echo
	@NGINX_BINARY=$(NGINX_BINARY) MODULE=$(MODULE) ROUNDS=$(ROUNDS) \
		DURATION=$(DURATION) CONNECTIONS=$(CONNECTIONS) \
		perl bench/spool.pl
	@echo
	@NGINX_BINARY=$(NGINX_BINARY) MODULE=$(MODULE) ROUNDS=$(ROUNDS) \
		DURATION=$(DURATION) CONNECTIONS=$(CONNECTIONS) \
		perl bench/rest.pl


MODULES = /usr/lib/nginx/modules

.PHONY: install
install: build	## copy the module to where Debian's nginx looks for it
	@install -D -m 644 $(MODULE) $(DESTDIR)$(MODULES)/$(NAME).so
	@echo "now in nginx.conf: load_module modules/$(NAME).so;"

.PHONY: clean
clean:	## remove build/
	@rm -rf build


FORCE:
