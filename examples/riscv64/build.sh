#!/bin/sh
# Builds hello from hello.c. Needs Debian's gcc-riscv64-linux-gnu.
set -e
cd "$(dirname "$0")"
riscv64-linux-gnu-gcc -std=c11 -Os -Wall -Wextra -march=rv64gc -static -nostdlib -ffreestanding \
    -fno-tree-loop-distribute-patterns -fno-asynchronous-unwind-tables -fno-stack-protector \
    -Wl,--build-id=none -Wl,-z,noseparate-code -s -o hello hello.c
