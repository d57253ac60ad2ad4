//! A pooler before a server.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Server;
use super::programs::{folder_of_postgres, free_port, own, signal, spawn};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where Debian has it.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// PgBouncer before a [`Server`], on the loopback interface and a port of its own. It ends when this is dropped, or with this
/// process.
#[derive(Debug)]
pub struct Pooler {
    _folder: TempDir,
    port: u16,
    process: Child,
}

impl Pooler {
    /// Starts one that shares so many connections to the server, each for a client's `session` or `transaction`.
    ///
    /// # Panics
    /// Where there is no PgBouncer here, or it does not start.
    pub fn start(server: &Server, mode: &str, connections: u32) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder can be made"), free_port());
        let own_folder = folder_of_postgres(folder.path(), "pooler");
        let (users, configuration) = (own_folder.join("users.txt"), own_folder.join("pgbouncer.ini"));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {connections}\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.port(),
            users.display(),
        );
        std::fs::write(&users, "\"postgres\" \"\"\n").expect("a file can be written");
        std::fs::write(&configuration, settings).expect("a file can be written");
        let program = if Path::new(DEBIAN).exists() { DEBIAN } else { "pgbouncer" };
        let mut command = own(Path::new(program), folder.path());
        command.arg(configuration);
        let process = spawn(command);
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PgBouncer does not start: `apt-get install pgbouncer`\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { _folder: folder, port, process }
    }

    /// Where a database of the server is by way of it.
    pub fn database(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        signal("KILL", &[self.process.id()]);
        let _ = self.process.wait();
    }
}
