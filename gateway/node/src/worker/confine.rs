//! What the process that decodes foreign files gives up before it reads the first byte.
//!
//! - Limits of the kernel: address space, processor time, no file written, few descriptors, no core dump.
//! - System calls: no socket, no file opened, no program started, no process or thread made, no limit changed. What it reads
//!   and what it writes was opened by its parent, so it never needs them. The filter (seccomp) is inherited, cannot be taken
//!   off, and works without privileges, unlike a network namespace. Where the kernel knows no seccomp, the limits alone hold.
//! - Its life: it dies with the thread of the node that started it.

use std::collections::BTreeMap;

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Open files: the three that it was given, and those that it makes of them.
const DESCRIPTORS: u64 = 16;

/// Sets the limits: bytes of address space and seconds of processor time.
///
/// # Errors
/// When the kernel refuses one of them; nothing foreign may be read then.
pub fn limits(memory: u64, cpu_s: u64) -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let set = |resource, soft: u64, hard: u64| setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) });
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, 0, 0)?;
    set(Resource::Nofile, DESCRIPTORS, DESCRIPTORS)?;
    set(Resource::Cpu, cpu_s, cpu_s + 1)?;
    set(Resource::As, memory, memory)
}

/// Gives up the system calls that reach outside the process.
///
/// # Errors
/// When the kernel has no such filter, or this architecture none that is known here.
pub fn system_calls() -> Result<(), seccompiler::Error> {
    let denied: BTreeMap<i64, Vec<_>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter: BpfProgram = SeccompFilter::new(denied, SeccompAction::Allow, refuse, architecture)?.try_into()?;
    seccompiler::apply_filter(&filter)
}

/// Numbers of system calls, as the C library names them for this architecture.
const DENIED: &[libc::c_long] = &[
    // The network.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    // Whatever does the same in another way.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    // Files by name.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
    libc::SYS_memfd_create,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    libc::SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_mount,
    libc::SYS_umount2,
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_kill,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_unshare,
    libc::SYS_setns,
    // The limits themselves.
    libc::SYS_setrlimit,
    libc::SYS_prlimit64,
];

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn behind_the_filter_there_is_no_network_no_file_and_no_program() {
        // A filter is the thread's that sets it: the rest of the tests go on as they were.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            assert!(TcpStream::connect(address).is_ok());
            system_calls().unwrap();
            let denied = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            denied(TcpStream::connect(address).unwrap_err());
            denied(std::fs::File::open("/proc/self/status").unwrap_err());
            denied(std::process::Command::new("/bin/true").spawn().unwrap_err());
        })
        .join()
        .unwrap();
    }
}
