//! A PostgreSQL server of this process, with its own settings.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// How long it may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it ends with this process, whatever ends that.
pub(crate) struct Postgres {
    server: Child,
    port: u16,
}

impl Postgres {
    /// Starts one on an empty folder.
    ///
    /// # Errors
    /// Where there is no PostgreSQL, or it does not start.
    pub(crate) async fn start(folder: &Path) -> Result<Self> {
        let (programs, data) = (programs()?, std::path::absolute(folder.join("postgres"))?);
        std::fs::create_dir(&data)?;
        if is_root()? {
            ensure!(Command::new("chown").arg("postgres").arg(&data).status()?.success(), "there is no user postgres");
        }
        let log = folder.join("postgres.log");
        let mut initdb = own(&programs.join("initdb"), &log)?;
        initdb.args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--pgdata"]).arg(&data);
        ensure!(initdb.status()?.success(), "initdb failed: {}", std::fs::read_to_string(&log)?);
        // Somebody else may take the port in between; then the server says so.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut server = own(&programs.join("postgres"), &log)?;
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        let server = server.args(["-p", &port.to_string()]).spawn()?;
        let started = Self { server, port };
        started.wait().await.with_context(|| format!("PostgreSQL does not start: {}", log.display()))?;
        Ok(started)
    }

    /// Where it listens, on the loopback interface.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How to connect.
    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new().host("127.0.0.1").port(self.port).username("postgres").database("postgres")
    }

    /// Stops it, and waits for that.
    ///
    /// # Errors
    /// Where it cannot be stopped.
    pub(crate) fn stop(mut self) -> Result<()> {
        let interrupted = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status()?;
        ensure!(interrupted.success(), "cannot stop PostgreSQL");
        self.server.wait()?;
        Ok(())
    }

    async fn wait(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            match PgConnection::connect_with(&self.options()).await {
                Ok(connection) => return Ok(connection.close().await?),
                Err(error) if PATIENCE < start.elapsed() => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

/// A program of PostgreSQL: not as root, which it refuses, and told to end when this process has ended.
fn own(program: &Path, log: &Path) -> Result<Command> {
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root()? {
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]);
    }
    command.arg(program).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// Where its programs are: the newest version that Debian's packages installed, or what the path leads to.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let debian = newest.map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = debian.into_iter().chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").exists()).context("there is no PostgreSQL here: `apt-get install postgresql`")
}
