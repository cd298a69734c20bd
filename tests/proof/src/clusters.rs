//! More than one server: standbys of PostgreSQL, PgBouncer before it, and Galera clusters.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::{MysqlConnection, PgConnection};
use tempfile::TempDir;

use crate::database::ProofConnection;
use crate::process::{Process, unprivileged};
use crate::servers::{Kind, Server, free_port, initialise, postgres_program, server_folder};
use crate::wait::wait_until;

impl Server {
    /// A PostgreSQL that follows another, under a name, with settings of its own.
    #[must_use]
    pub fn standby(primary: &Self, name: &str, settings: &[&str]) -> Self {
        let folder = server_folder();
        let data = folder.path().join("data");
        let connection = format!(
            "host={} port={} user=postgres application_name={name}",
            primary.port().ip(),
            primary.port().port()
        );
        run_to_the_end(
            unprivileged(&postgres_program("pg_basebackup"))
                .args(["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"])
                .args(["--dbname", &connection, "--no-sync", "--pgdata"])
                .arg(&data),
        );
        let settings = settings.iter().map(ToString::to_string).collect();
        Self::run(Kind::Postgres, folder, settings)
    }

    /// Has a primary wait with each commit until the standby of a name has it.
    pub fn wait_for_standby(&self, name: &str) {
        let mut conn = PgConnection::establish(&self.url()).unwrap();
        let names = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        conn.batch_execute(&names).unwrap();
        conn.batch_execute("SELECT pg_reload_conf()").unwrap();
        let state = "SELECT COUNT(*) AS number FROM pg_stat_replication WHERE sync_state = 'sync'";
        wait_until("the standby is synchronous", || conn.numbers(state) == Ok(vec![1]));
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        run_to_the_end(
            unprivileged(&postgres_program("pg_ctl"))
                .args(["promote", "--wait", "--pgdata"])
                .arg(self.data()),
        );
    }

    /// A Galera cluster of so many nodes, all of which take writes.
    #[must_use]
    pub fn galera(nodes: usize) -> Vec<Self> {
        insist_on_galera();
        let addresses: Vec<SocketAddr> = (0..nodes).map(|_| free_port()).collect();
        let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let mut servers: Vec<Self> = Vec::new();
        for (number, address) in addresses.iter().enumerate() {
            let folder = server_folder();
            initialise(Kind::Mariadb, folder.path());
            let mut settings = vec![
                "--binlog-format=ROW".to_owned(),
                "--innodb-autoinc-lock-mode=2".to_owned(),
                "--wsrep-on=ON".to_owned(),
                format!("--wsrep-provider={GALERA}"),
                "--wsrep-cluster-name=accounts".to_owned(),
                format!("--wsrep-cluster-address=gcomm://{}", all.join(",")),
                format!("--wsrep-node-name=node{number}"),
                format!("--wsrep-node-address={address}"),
                "--wsrep-sst-method=rsync".to_owned(),
                format!("--wsrep-sst-receive-address={}", free_port()),
                format!(
                    "--wsrep-provider-options=gmcast.listen_addr=tcp://{address};\
                     ist.recv_addr={};gcache.size=32M;pc.recovery=false",
                    free_port()
                ),
            ];
            if number == 0 {
                settings.push(NEW_CLUSTER.to_owned());
            }
            let mut server = Self::run(Kind::Mariadb, folder, settings);
            server.forget_setting(NEW_CLUSTER);
            server.wait_until_synced();
            if number == 0 {
                server.make_database();
            }
            servers.push(server);
        }
        servers
    }

    /// Waits until a node of Galera's has all that the others have.
    pub fn wait_until_synced(&self) {
        let state = "SELECT CAST(VARIABLE_VALUE AS SIGNED) AS number \
                     FROM information_schema.GLOBAL_STATUS \
                     WHERE VARIABLE_NAME = 'wsrep_local_state'";
        wait_until("the node is synchronous", || {
            MysqlConnection::establish(&self.url().replace("/accounts", "/mysql"))
                .is_ok_and(|mut conn| conn.numbers(state) == Ok(vec![SYNCED]))
        });
    }
}

/// PgBouncer in transaction mode: each transaction gets one of few sessions.
#[derive(Debug)]
pub struct Pooler {
    port: SocketAddr,
    _folder: TempDir,
    _process: Process,
}

impl Pooler {
    /// Before a PostgreSQL, with so many sessions.
    #[must_use]
    pub fn before(server: &Server, sessions: u32) -> Self {
        let program = Path::new("/usr/sbin/pgbouncer");
        assert!(
            program.exists(),
            "there is no {}: on Debian, `apt-get install pgbouncer`",
            program.display()
        );
        let (folder, port) = (server_folder(), free_port());
        let (target, settings) = (server.port(), folder.path().join("pgbouncer.ini"));
        let text = format!(
            "[databases]\n\
             accounts = host={} port={} user=postgres\n\
             [pgbouncer]\n\
             listen_addr = {}\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = {sessions}\n\
             max_client_conn = 100\n",
            target.ip(),
            target.port(),
            port.ip(),
            port.port()
        );
        fs::write(&settings, text).unwrap();
        let arguments = [settings.display().to_string()];
        let mut process = Process::start(program, &arguments, &folder.path().join("log"));
        let url = url_at(port);
        process.wait_until(|| PgConnection::establish(&url).is_ok());
        Self { port, _folder: folder, _process: process }
    }

    /// The URL of the database `accounts`.
    #[must_use]
    pub fn url(&self) -> String {
        url_at(self.port)
    }
}

fn insist_on_galera() {
    assert!(Path::new(GALERA).exists(), "there is no {GALERA}: {HOW_TO_GET_GALERA}");
    let path = env::var_os("PATH").unwrap_or_default();
    for program in ["wsrep_sst_rsync", "rsync", "lsof"] {
        let is_there = env::split_paths(&path).any(|folder| folder.join(program).exists());
        assert!(is_there, "there is no program {program}: {HOW_TO_GET_GALERA}");
    }
}

fn url_at(port: SocketAddr) -> String {
    format!("postgres://postgres@{port}/accounts")
}

fn run_to_the_end(command: &mut std::process::Command) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

const GALERA: &str = "/usr/lib/galera/libgalera_smm.so";
const HOW_TO_GET_GALERA: &str = "on Debian, `apt-get install galera-4 mariadb-server rsync lsof` (of mariadb-server only the \
     programs wsrep_sst_* are needed, in a folder of the PATH)";
const NEW_CLUSTER: &str = "--wsrep-new-cluster";
/// As Galera counts states.
const SYNCED: i64 = 4;
