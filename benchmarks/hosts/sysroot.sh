#!/bin/sh
# Fetches what `python -m benchmarks.hosts --sysroot FOLDER` counts onnxruntime on AArch64 with: Debian's Python for
# arm64, onnxruntime and NumPy in the versions of constraints.txt, and a QEMU that takes plugins, which Debian's static
# one does not. Nothing is installed: it all lies in the folder.
#   sh benchmarks/hosts/sysroot.sh FOLDER
set -eu
constraints=$(cd "$(dirname "$0")/../.." && pwd)/constraints.txt
mkdir -p "$1"
cd "$1"
folder=$PWD
mkdir -p apt/lists/partial apt/archives/partial packages root/proc root/sys/devices/system/cpu root/site

arm64="-o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State=$folder/apt -o Dir::Cache=$folder/apt"
arm64="$arm64 -o Dir::State::status=/dev/null -o APT::Sandbox::User=root"
apt-get -qq $arm64 update
cd packages
apt-get -qq -o APT::Sandbox::User=root download qemu-user
apt-get -qq $arm64 download python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libstdc++6 libgcc-s1 \
    libexpat1 zlib1g libffi8 libbz2-1.0 liblzma5 libssl3 libuuid1
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 $(grep -E '^(numpy|onnxruntime)==' "$constraints")
cd ..
for package in packages/*_arm64.deb; do dpkg -x "$package" root; done
dpkg -x packages/qemu-user_*.deb .
for wheel in packages/*.whl; do python3 -m zipfile -e "$wheel" root/site; done

# onnxruntime looks up the processor here, and would find this machine's.
printf 0 | tee root/sys/devices/system/cpu/possible >root/sys/devices/system/cpu/present
cat >root/proc/cpuinfo <<'END'
processor	: 0
Features	: fp asimd evtstrm crc32 cpuid
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: 0xd03
CPU revision	: 4
END
