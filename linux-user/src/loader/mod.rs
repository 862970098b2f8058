//! Programs: ELF files, interpreters, scripts, the initial stack.
