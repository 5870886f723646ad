# The two commands of the README. Both do all the set-up themselves and are cheap to repeat.
#   make search   measure compressed networks on an emulated board and over SSH, and show the Pareto front
#   make test     everything that continuous integration checks
# make fuzz feeds the device's loader hostile artifacts for two minutes; make test does so beside the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

DEBIAN_PACKAGES := clang cmake dataset-fashion-mnist gcc gcc-aarch64-linux-gnu gcc-arm-linux-gnueabi \
  gcc-arm-linux-gnueabihf gcc-arm-none-eabi libc6-dev libc6-dev-arm64-cross libc6-dev-armel-cross libc6-dev-armhf-cross \
  libclang-rt-14-dev libnewlib-arm-none-eabi make openssh-client openssh-server prometheus python3-venv qemu-system-arm \
  qemu-user-static valgrind

.PHONY: search test lint fuzz fuzzer firmware packages clean

search: firmware
	$(BIN)/harness search harness/studies/quickstart.yaml --resume

test: firmware lint fuzzer
	@$(MAKE) --no-print-directory fuzz >build/fuzz.log 2>&1 & fuzz=$$!; \
	  $(BIN)/pytest; tests=$$?; \
	  wait $$fuzz || { tail -n 100 build/fuzz.log; exit 1; }; tail -n 1 build/fuzz.log; exit $$tests

fuzz: fuzzer
	nice $(MAKE) --silent -C agents/runtime/fuzz run

fuzzer: packages
	@$(MAKE) --silent -C agents/runtime/fuzz

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

firmware: packages $(VENV)/.installed
	@$(MAKE) --silent --no-print-directory -C agents

packages:
	@sh .ci/packages $(DEBIAN_PACKAGES)

$(VENV)/.installed: pyproject.toml constraints.txt | packages
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf build $(VENV)
