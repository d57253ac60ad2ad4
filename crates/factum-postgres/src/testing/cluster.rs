//! A primary with its standbys, of which another takes over where it fails.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::programs::{children, folder_of_postgres, free_port, own, postgres, signal, spawn};
use crate::servers::{Connected, Role, Servers, hosts};

/// How many servers it has: a primary, and synchronous standbys.
const SERVERS: usize = 3;

/// How long it may take to start, or to be whole again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three PostgreSQL servers under Patroni, which keeps what it knows in etcd: all of them on the loopback interface, in a
/// temporary folder, with two synchronous standbys. They end when this is dropped, or with this process.
///
/// Debian's packages are `patroni` and `etcd-server`.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    etcd: Child,
    _folder: TempDir,
}

/// A server, and the agent that looks after it.
#[derive(Debug)]
struct Node {
    folder: PathBuf,
    port: u16,
    agent_port: u16,
    agent: Mutex<Option<Child>>,
}

impl Cluster {
    /// Starts one, and waits until it is whole. Whoever connects is trusted.
    ///
    /// # Panics
    /// Where PostgreSQL, Patroni or etcd is not here, or does not start.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let [client, peer] = [free_port(), free_port()];
        let etcd = spawn(etcd(&folder_of_postgres(folder.path(), "etcd"), client, peer));
        let nodes = (0..SERVERS).map(|number| Node::start(folder.path(), number, client)).collect();
        let cluster = Self { nodes, etcd, _folder: folder };
        cluster.whole().await;
        cluster
    }

    /// Where its first database is, with all of its hosts.
    pub fn url(&self) -> String {
        let hosts = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>().join(",");
        format!("postgres://postgres@{hosts}/postgres?sslmode=disable&target_session_attrs=read-write")
    }

    /// Waits until it has a primary and two synchronous standbys; which of the servers, counted from 0, is the primary.
    ///
    /// # Panics
    /// Where it is not within two minutes.
    pub async fn whole(&self) -> usize {
        let (servers, started) = (self.servers(), Instant::now());
        loop {
            if let Ok(Connected { mut connection, host, .. }) = servers.connect().await {
                let standbys = "SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')";
                let standbys = sqlx::query_scalar::<_, i64>(standbys).fetch_one(&mut connection).await;
                let are_known = || self.nodes[host].standbys_known() == SERVERS - 1;
                if standbys.is_ok_and(|standbys| standbys == SERVERS as i64 - 1) && are_known() {
                    return host;
                }
            }
            assert!(started.elapsed() < PATIENCE, "the cluster is not whole:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until another server is the primary than this one was.
    ///
    /// # Panics
    /// Where none is within two minutes.
    pub async fn primary_but(&self, before: usize) {
        let (servers, started) = (self.servers(), Instant::now());
        while !servers.connect().await.is_ok_and(|connected| connected.host != before) {
            assert!(started.elapsed() < PATIENCE, "no other server is the primary:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn servers(&self) -> Servers {
        Servers::new(hosts(&self.url()).expect("it is a URL"), Role::Primary, 1, Duration::ZERO)
    }

    /// Ends a server as a power cut would end its processes; its agent goes on.
    pub fn kill(&self, server: usize) {
        signal("KILL", &self.nodes[server].processes());
    }

    /// Ends a server at once, without a checkpoint.
    pub fn stop_immediately(&self, server: usize) {
        signal("QUIT", &self.nodes[server].processes()[..1]);
    }

    /// Ends the agent of a server; the server goes on, and does not know what the others agree on.
    pub fn kill_agent(&self, server: usize) {
        if let Some(mut agent) = self.nodes[server].agent().take() {
            signal("KILL", &[agent.id()]);
            let _ = agent.wait();
        }
    }

    /// Starts it again.
    pub fn start_agent(&self, server: usize) {
        let node = &self.nodes[server];
        *node.agent() = Some(spawn(node.command()));
    }

    /// Has a server and its agent do nothing, with all connections open, until [`resume`](Self::resume).
    pub fn pause(&self, server: usize) {
        self.nodes[server].signal_all("STOP");
    }

    /// Has both go on.
    pub fn resume(&self, server: usize) {
        self.nodes[server].signal_all("CONT");
    }

    fn log(&self) -> String {
        let log = |node: &Node| std::fs::read_to_string(node.folder.join("server.log")).unwrap_or_default();
        let last = |log: String| log.lines().rev().take(20).map(|line| format!("{line}\n")).collect::<Vec<_>>();
        self.nodes.iter().flat_map(|node| last(log(node)).into_iter().rev()).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            node.signal_all("CONT");
            // Told to end, it would have the server end in good order, which nobody waits for.
            node.signal_all("KILL");
            if let Some(mut agent) = node.agent().take() {
                let _ = agent.wait();
            }
        }
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

impl Node {
    fn start(folder: &Path, number: usize, etcd: u16) -> Self {
        let name = format!("server-{number}");
        let folder = folder_of_postgres(folder, &name);
        let (port, agent_port) = (free_port(), free_port());
        std::fs::write(folder.join("patroni.yml"), configuration(&folder, &name, [port, agent_port, etcd]))
            .expect("a file can be written");
        let node = Self { folder, port, agent_port, agent: Mutex::new(None) };
        *node.agent() = Some(spawn(node.command()));
        node
    }

    fn command(&self) -> Command {
        let mut command = own(Path::new("patroni"), &self.folder);
        command.arg(self.folder.join("patroni.yml"));
        command
    }

    /// How many synchronous standbys the agents have agreed on: none other may take over. The server has them a moment earlier.
    fn standbys_known(&self) -> usize {
        let asked = || -> std::io::Result<String> {
            let mut agent = TcpStream::connect(address(self.agent_port))?;
            agent.set_read_timeout(Some(Duration::from_secs(3)))?;
            agent.write_all(b"GET /cluster HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            agent.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().unwrap_or_default().matches("\"sync_standby\"").count()
    }

    /// The server, and all that it has started; none where it is not there.
    fn processes(&self) -> Vec<u32> {
        let lock = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
        let Some(server) = lock.lines().next().and_then(|id| id.parse().ok()) else { return Vec::new() };
        // What the file says may be of one that was killed, and its number another's by now.
        let command = std::fs::read_to_string(format!("/proc/{server}/cmdline")).unwrap_or_default();
        if command.contains(&*self.folder.to_string_lossy()) { children(server) } else { Vec::new() }
    }

    fn signal_all(&self, name: &str) {
        let agent = self.agent().as_ref().map(Child::id);
        // First of all the agent, which would otherwise see what becomes of its server.
        signal(name, &agent.into_iter().chain(self.processes()).collect::<Vec<_>>());
    }

    fn agent(&self) -> MutexGuard<'_, Option<Child>> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One server of etcd is enough: it is not what is tested.
fn etcd(folder: &Path, client: u16, peer: u16) -> Command {
    let (client, peer) = (url(client), url(peer));
    let mut command = own(Path::new("etcd"), folder);
    // By version 3 of its protocol, Patroni 3.0.2 of Debian's lets an agent that was paused take back what it has lost: two
    // servers are primaries in turn then, and what one of them acknowledged is lost.
    command.arg("--enable-v2");
    command.args(["--data-dir".as_ref(), folder.join("data").as_os_str()]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    command
}

fn url(port: u16) -> String {
    format!("http://{}", address(port))
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// What an agent goes by: <https://patroni.readthedocs.io/en/latest/yaml_configuration.html>. A primary that is gone without a
/// word is given up after the least time that Patroni allows.
fn configuration(folder: &Path, name: &str, ports: [u16; 3]) -> String {
    let [server, agent, etcd] = ports.map(address);
    let (folder, programs) = (folder.display(), postgres().display().to_string());
    format!(
        r#"
scope: factum
name: {name}
restapi: {{ listen: "{agent}", connect_address: "{agent}" }}
etcd: {{ host: "{etcd}" }}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    primary_start_timeout: 0
    synchronous_mode: true
    synchronous_node_count: {standbys}
    postgresql:
      use_pg_rewind: true
      parameters: {{ max_connections: 200, wal_keep_size: 1GB }}
  initdb: [data-checksums, {{ encoding: UTF8 }}, {{ auth: trust }}, no-locale]
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
postgresql:
  listen: "{server}"
  connect_address: "{server}"
  data_dir: {folder}/data
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  parameters: {{ unix_socket_directories: "" }}
  authentication:
    superuser: {{ username: postgres }}
    replication: {{ username: replicator }}
"#,
        standbys = SERVERS - 1,
    )
}
