#!/bin/sh
# Builds hello from hello.c, for each guest. Needs Debian's gcc-riscv64-linux-gnu and gcc-aarch64-linux-gnu.
set -e
cd "$(dirname "$0")"
build() {
    mkdir -p "$1"
    "$1-linux-gnu-gcc" -std=c11 -Os -Wall -Wextra "$2" -static -nostdlib -ffreestanding \
        -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -fno-stack-protector \
        -Wl,--build-id=none -Wl,-z,noseparate-code -s -o "$1/hello" hello.c
}
build riscv64 -march=rv64gc
build aarch64 -march=armv8-a
