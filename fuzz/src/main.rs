//! Runs the target named by the variable `FUZZ_TARGET`. `FUZZ_ARGS` holds libFuzzer's arguments,
//! one per line; the program's own arguments are those of the server that some targets use. `cargo
//! xtask fuzz` sets all of them.

use blindscore_fuzz::{TARGETS, Target};
use cap::Cap;
use std::{
    alloc::System,
    env,
    ffi::{CString, c_char, c_int},
    panic,
    process::abort,
    ptr, slice,
    sync::OnceLock,
};

/// Refuses allocations above the target's limit. That ends the program, which libFuzzer treats as a
/// crash.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

static TARGET: OnceLock<&Target> = OnceLock::new();

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(
        argc: *mut c_int,
        argv: *mut *mut *mut c_char,
        run: extern "C" fn(*const u8, usize) -> c_int,
    ) -> c_int;
}

extern "C" fn run(data: *const u8, length: usize) -> c_int {
    let data = match length {
        0 => &[],
        // SAFETY: libFuzzer passes `length` bytes, valid until this function returns.
        _ => unsafe { slice::from_raw_parts(data, length) },
    };
    if let Some(target) = TARGET.get() {
        (target.run)(data);
    }
    0
}

fn main() {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("FUZZ_TARGET is {name:?}; run this program with `cargo xtask fuzz`");
        std::process::exit(2);
    };
    // In every thread: a server must not survive a panic.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        hook(info);
        abort();
    }));
    (target.prepare)();
    let limit = ALLOCATOR.allocated() + target.memory;
    assert!(
        TARGET.set(target).is_ok() && ALLOCATOR.set_limit(limit).is_ok(),
        "nothing was set before"
    );

    let arguments = env::var("FUZZ_ARGS").unwrap_or_default();
    let mut argv: Vec<*mut c_char> = std::iter::once("fuzz")
        .chain(arguments.lines())
        .filter_map(|argument| CString::new(argument).ok())
        .map(CString::into_raw)
        .collect();
    let mut argc = argv.len() as c_int;
    argv.push(ptr::null_mut());
    let mut argv = argv.as_mut_ptr();
    // SAFETY: like the arguments of a C main function; the pointers' targets are never freed.
    let code = unsafe { LLVMFuzzerRunDriver(&mut argc, &mut argv, run) };
    std::process::exit(code);
}
