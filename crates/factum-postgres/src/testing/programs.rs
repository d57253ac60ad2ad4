//! Programs that are started for a test, and end with it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};

/// Where the programs of PostgreSQL are, if not where Debian's packages put them: the folder with `initdb` and `postgres`.
pub const PROGRAMS_VARIABLE: &str = "FACTUM_POSTGRES_BIN";

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Starts a process from a thread that lives as long as this process does: what it is told to end with is that thread.
pub(super) fn spawn(command: Command) -> Child {
    type Start = (Command, mpsc::Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Start>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Start>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                // Whoever asked waits for it.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, started) = mpsc::channel();
    starter.send((command, reply)).expect("the thread lives as long as this process");
    started.recv().expect("the thread lives as long as this process").expect("a process can be started")
}

/// Has a folder removed once this process has ended, whatever ends it: by one that waits for the end of a pipe. Who still writes
/// to the folder is about to end as well.
pub(super) fn remove_after_this_process(folder: &Path) {
    const REMOVE: &str = "cat; for try in 1 2 3 4 5 6 7 8 9 10; do sleep 1; rm -rf \"$0\" && break; done";
    let mut remove = Command::new("sh");
    remove.args(["-c", REMOVE]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let remover = spawn(remove);
    // The pipe's other end: it stays open as long as this process lives.
    std::mem::forget(remover);
}

/// A port that nobody listens on. Somebody else may take it in between; then the server says so.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a listener has an address").port()
}

/// Makes a folder in another for programs that are started by [`own`].
pub(super) fn folder_of_postgres(within: &Path, name: &str) -> PathBuf {
    let folder = within.join(name);
    std::fs::create_dir(&folder).expect("a folder can be made");
    if is_root() {
        succeeds(Command::new("chown").arg("postgres").arg(&folder), "give the folder to the user postgres");
        // The user postgres has to get there.
        succeeds(Command::new("chmod").arg("755").arg(within), "open the folder to the user postgres");
    }
    folder
}

/// A process, and all that it has started.
pub(super) fn children(process: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    std::iter::once(process).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect()
}

/// A program of PostgreSQL: not as root, which it refuses, and told to end when this process has ended.
pub(super) fn own(program: &Path, folder: &Path) -> Command {
    let log = File::options().create(true).append(true).open(folder.join("server.log")).expect("a log can be written");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    let errors = log.try_clone().expect("a log can be written");
    command.arg(program).current_dir("/").stdin(Stdio::null()).stdout(log).stderr(errors);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

pub(super) fn signal(name: &str, processes: &[u32]) {
    let ids = processes.iter().map(u32::to_string);
    // One of them may have ended by itself.
    let _: Result<ExitStatus, _> = Command::new("kill").arg(format!("-{name}")).args(ids).stderr(Stdio::null()).status();
}

#[track_caller]
pub(super) fn succeeds(command: &mut Command, what: &str) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(ExitStatus::success), "cannot {what}: {status:?} of {command:?}");
}

/// Where its programs are: where the variable says, or the newest version of Debian's packages, or what the path leads to.
pub(super) fn postgres() -> PathBuf {
    if let Some(named) = std::env::var_os(PROGRAMS_VARIABLE) {
        return named.into();
    }
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let debian = newest.map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().chain(std::env::split_paths(&path));
    let found = folders.find(|folder| folder.join("initdb").exists());
    found.unwrap_or_else(|| {
        panic!("there is no PostgreSQL here: `apt-get install postgresql`, or name its programs' folder in {PROGRAMS_VARIABLE}")
    })
}
