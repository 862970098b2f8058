//! The guest's memory map.

use super::row::rows;

rows! {
    brk(Addr) => enosys, "not implemented yet";
    mmap(Addr, Size, Prot, MmapFlags, Fd, Hex) => enosys, "not implemented yet";
    munmap(Addr, Size) => enosys, "not implemented yet";
    mremap(Addr, Size, Size, MremapFlags, Addr) => enosys, "not implemented yet";
    mprotect(Addr, Size, Prot) => enosys, "not implemented yet";
    madvise(Addr, Size, Advice) => enosys, "not implemented yet";
    msync(Addr, Size, Hex) => enosys, "not implemented yet";
    mincore(Addr, Size, Ptr) => enosys, "not implemented yet";
    mlock(Addr, Size) => enosys, "not implemented yet";
    mlock2(Addr, Size, Hex) => enosys, "not implemented yet";
    munlock(Addr, Size) => enosys, "not implemented yet";
    mlockall(Hex) => enosys, "not implemented yet";
    munlockall() => enosys, "not implemented yet";
    mseal(Addr, Size, Hex) => enosys, "not implemented yet";
    remap_file_pages(Addr, Size, Prot, Hex, Hex) => enosys, "superseded by mmap";
    process_madvise(Fd, Ptr, Size, Advice, Hex) => enosys, "not implemented yet";
    process_mrelease(Fd, Hex) => enosys, "not implemented yet";
    process_vm_readv(Int, Ptr, Size, Ptr, Size, Hex) => enosys, "not implemented yet";
    process_vm_writev(Int, Ptr, Size, Ptr, Size, Hex) => enosys, "not implemented yet";
    pkey_mprotect(Addr, Size, Prot, Int) => enosys, "protection keys are not part of this CPU";
    pkey_alloc(Hex, Hex) => enosys, "protection keys are not part of this CPU";
    pkey_free(Int) => enosys, "protection keys are not part of this CPU";
    map_shadow_stack(Addr, Size, Hex) => enosys, "shadow stacks are not part of this CPU";
    userfaultfd(Hex) => enosys, "not implemented yet";
    mbind(Addr, Size, Int, Ptr, Size, Hex) => enosys, "memory policy is left to the host";
    get_mempolicy(Ptr, Ptr, Size, Addr, Hex) => enosys, "memory policy is left to the host";
    set_mempolicy(Int, Ptr, Size) => enosys, "memory policy is left to the host";
    set_mempolicy_home_node(Addr, Size, Int, Hex) => enosys, "memory policy is left to the host";
    migrate_pages(Int, Size, Ptr, Ptr) => enosys, "memory policy is left to the host";
    move_pages(Int, Size, Ptr, Ptr, Ptr, Hex) => enosys, "memory policy is left to the host";
}
