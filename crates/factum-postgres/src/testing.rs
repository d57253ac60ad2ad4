//! PostgreSQL for tests: a server of the test's own, that ends with it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where its programs are, if not where Debian's packages put them: the folder with `initdb` and `postgres`.
pub const PROGRAMS_VARIABLE: &str = "FACTUM_POSTGRES_BIN";

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server, on the loopback interface and a port of its own, in a temporary folder. It ends when this is dropped, or
/// with this process, whatever ends that.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    settings: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl Server {
    /// Starts one, with settings such as `max_connections=50`. Whoever connects is trusted; what is committed is synced.
    ///
    /// # Panics
    /// Where there is no PostgreSQL here, or it does not start.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_in(&std::env::temp_dir(), settings)
    }

    /// Starts one whose temporary folder is in this one, on the disk that is to be measured.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_in(folder: &Path, settings: &[&str]) -> Self {
        let folder = std::path::absolute(folder).expect("a folder has a name");
        let (folder, programs) = (tempfile::tempdir_in(folder).expect("a temporary folder can be made"), programs());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("a folder can be made");
        if is_root() {
            succeeds(Command::new("chown").arg("postgres").arg(&data), "give the folder to the user postgres");
            // The user postgres has to get there.
            succeeds(Command::new("chmod").arg("755").arg(folder.path()), "open the folder to the user postgres");
        }
        let initdb = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--pgdata"];
        succeeds(own(&programs.join("initdb"), folder.path()).args(initdb).arg(&data), "make a cluster: see `server.log`");
        let port = free_port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let server = Self { folder, programs, port, settings, process: Mutex::new(None) };
        server.launch();
        server
    }

    /// One for all tests of this process, with a database of their own by [`database`](Self::database).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["max_connections=300"]))
    }

    /// Where it listens, on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its first database is.
    pub fn url(&self) -> String {
        self.database("postgres")
    }

    /// Where a database of this name is, or would be.
    pub fn database(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// Makes a new, empty database; where it is.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub async fn create_database(&self, name: &str) -> String {
        use sqlx::{Connection, Executor};
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\""));
        let mut connection = sqlx::PgConnection::connect(&self.url()).await.expect("the server answers");
        connection.execute(create).await.expect("a database can be made");
        self.database(name)
    }

    /// Ends it as a power cut would end its processes; what is on its disk stays.
    pub fn kill(&self) {
        let Some(mut process) = self.process().take() else { return };
        signal("KILL", &self.processes(&process));
        let _ = process.wait();
    }

    /// Ends it in good order: open transactions are rolled back.
    pub fn stop(&self) {
        let Some(mut process) = self.process().take() else { return };
        signal("INT", &[process.id()]);
        let _ = process.wait();
    }

    /// Starts it again, after [`kill`](Self::kill) or [`stop`](Self::stop).
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&self) {
        self.stop();
        self.launch();
    }

    /// Has it do nothing, with all of its connections open, until [`resume`](Self::resume).
    pub fn pause(&self) {
        if let Some(process) = &*self.process() {
            signal("STOP", &self.processes(process));
        }
    }

    /// Has it go on.
    pub fn resume(&self) {
        if let Some(process) = &*self.process() {
            signal("CONT", &self.processes(process));
        }
    }

    fn launch(&self) {
        *self.process() = Some(spawn(self.command()));
        let begun = Instant::now();
        while !self.is_ready() {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
            // It gives up where a process of the one that was killed is not gone yet.
            let has_ended = |process: &mut Child| process.try_wait().is_ok_and(|ended| ended.is_some());
            if self.process().as_mut().is_some_and(has_ended) {
                *self.process() = Some(spawn(self.command()));
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = own(&self.programs.join("postgres"), self.folder.path());
        command.arg("-D").arg(self.folder.path().join("data")).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command
    }

    fn is_ready(&self) -> bool {
        let mut ready = Command::new(self.programs.join("pg_isready"));
        let ready = ready.args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()]);
        ready.status().is_ok_and(|status| status.success())
    }

    /// The server, and all that it has started.
    fn processes(&self, server: &Child) -> Vec<u32> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id())).unwrap_or_default();
        std::iter::once(server.id()).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect()
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a process from a thread that lives as long as this process does: what it is told to end with is that thread.
fn spawn(command: Command) -> Child {
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

/// A port that nobody listens on. Somebody else may take it in between; then the server says so.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("a listener has an address").port()
}

/// A program of PostgreSQL: not as root, which it refuses, and told to end when this process has ended.
fn own(program: &Path, folder: &Path) -> Command {
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

fn signal(name: &str, processes: &[u32]) {
    let ids = processes.iter().map(u32::to_string);
    // One of them may have ended by itself.
    let _: Result<ExitStatus, _> = Command::new("kill").arg(format!("-{name}")).args(ids).stderr(Stdio::null()).status();
}

#[track_caller]
fn succeeds(command: &mut Command, what: &str) {
    let status = command.status();
    assert!(status.as_ref().is_ok_and(ExitStatus::success), "cannot {what}: {status:?} of {command:?}");
}

/// Where its programs are: where the variable says, or the newest version of Debian's packages, or what the path leads to.
fn programs() -> PathBuf {
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
