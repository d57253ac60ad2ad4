//! One server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::programs::{
    children, folder_of_postgres, free_port, own, postgres, remove_after_this_process, signal, spawn, succeeds,
};

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
        let (folder, programs) = (tempfile::tempdir_in(folder).expect("a temporary folder can be made"), postgres());
        let data = folder_of_postgres(folder.path(), "data");
        let initdb = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--pgdata"];
        succeeds(own(&programs.join("initdb"), folder.path()).args(initdb).arg(&data), "make a cluster: see `server.log`");
        let port = free_port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let server = Self { folder, programs, port, settings, process: Mutex::new(None) };
        server.launch();
        server
    }

    /// Starts another one with a copy of the disk of this one, which must be stopped; on demand as a standby, which is read
    /// from and follows nobody.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn copied(&self, as_standby: bool) -> Self {
        assert!(self.process().is_none(), "stop it first: its disk changes");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        // It opens the folder to the user postgres.
        let data = folder_of_postgres(folder.path(), "data");
        std::fs::remove_dir(&data).expect("it is empty");
        succeeds(Command::new("cp").arg("-a").arg(self.folder.path().join("data")).arg(&data), "copy what is on the disk");
        if as_standby {
            std::fs::write(data.join("standby.signal"), "").expect("a file can be written");
        }
        let (programs, settings) = (self.programs.clone(), self.settings.clone());
        let server = Self { folder, programs, port: free_port(), settings, process: Mutex::new(None) };
        server.launch();
        server
    }

    /// One for all tests of this process, with a database of their own by [`database`](Self::database).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let server = Self::start(&["max_connections=300"]);
            // What is static is never dropped.
            remove_after_this_process(server.folder.path());
            server
        })
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

    /// Where one of its programs is, such as `pg_dump`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Ends it as a power cut would end its processes; what is on its disk stays.
    pub fn kill(&self) {
        let Some(mut process) = self.process().take() else { return };
        signal("KILL", &children(process.id()));
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
            signal("STOP", &children(process.id()));
        }
    }

    /// Has it go on.
    pub fn resume(&self) {
        if let Some(process) = &*self.process() {
            signal("CONT", &children(process.id()));
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
        // A startup message of version 3.0, which is answered with an R where it lets us in, and with an E while it cannot:
        // <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
        const STARTUP: &[u8] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
        let asked = || -> std::io::Result<u8> {
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
            server.set_read_timeout(Some(PATIENCE))?;
            server.write_all(STARTUP)?;
            let mut answer = [0];
            server.read_exact(&mut answer)?;
            Ok(answer[0])
        };
        asked().is_ok_and(|answer| answer == b'R')
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
