//! The same insertion by the drivers alone, without Diesel.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use diesel_accounts::{RealmId, Timestamp};
use postgres::NoTls;
use uuid::Uuid;

use super::by_hand::Person;

/// A connection of a driver's, with the statement prepared.
pub enum Driver {
    Postgres(postgres::Client, postgres::Statement),
    Sqlite(rusqlite::Connection),
}

impl Driver {
    /// `None` for an engine that is not measured without Diesel.
    pub fn connect(url: &str) -> Result<Option<Self>, Box<dyn Error>> {
        match url.split_once("://") {
            Some(("sqlite", path)) => {
                let conn = rusqlite::Connection::open(path)?;
                conn.pragma_update(None, "busy_timeout", 5000)?;
                conn.pragma_update(None, "journal_mode", "WAL")?;
                conn.pragma_update(None, "synchronous", "NORMAL")?;
                // As in `SqliteSettings`.
                conn.pragma_update(None, "cache_size", -16_384)?;
                Ok(Some(Self::Sqlite(conn)))
            }
            Some(("postgres" | "postgresql", _)) => {
                let mut client = postgres::Client::connect(url, NoTls)?;
                let places: Vec<_> = (1..=14).map(|number| format!("${number}")).collect();
                let places = places.join(", ");
                let statement = client
                    .prepare(&format!("INSERT INTO account_users ({COLUMNS}) VALUES ({places})"))?;
                Ok(Some(Self::Postgres(client, statement)))
            }
            _ => Ok(None),
        }
    }

    pub fn insert_account(&mut self, person: &Person, hash: &str) -> Result<(), Box<dyn Error>> {
        let Person { id, username, email } = person;
        let (realm, now) = (RealmId::NIL, Timestamp::now().as_micros());
        let (one, none, zero) = (1_i16, 0_i16, 0_i64);
        match self {
            Self::Postgres(client, statement) => {
                let [id, realm] = [id.as_bytes(), realm.as_bytes()].map(|id| Uuid::from_bytes(*id));
                client.execute(
                    &*statement,
                    &[
                        &id, &realm, username, username, &one, email, email, &one, &hash, &none,
                        &zero, &now, &now, &now,
                    ],
                )?;
            }
            Self::Sqlite(conn) => {
                let places = ["?"; 14].join(", ");
                let sql = format!("INSERT INTO account_users ({COLUMNS}) VALUES ({places})");
                conn.prepare_cached(&sql)?.execute(rusqlite::params![
                    id.as_bytes(),
                    realm.as_bytes(),
                    username,
                    username,
                    one,
                    email,
                    email,
                    one,
                    hash,
                    none,
                    zero,
                    now,
                    now,
                    now,
                ])?;
            }
        }
        Ok(())
    }
}

impl Driver {
    /// Brings many people into the table by the fastest way there is, all or none; the seconds that
    /// it took.
    pub fn import(&mut self, people: &[Person], hash: &str) -> Result<f64, Box<dyn Error>> {
        if let Self::Postgres(client, _) = self {
            let lines = lines(people, hash);
            let started = Instant::now();
            let mut copy = client.copy_in(&format!("COPY account_users ({COLUMNS}) FROM STDIN"))?;
            copy.write_all(lines.as_bytes())?;
            copy.finish()?;
            return Ok(started.elapsed().as_secs_f64());
        }
        let started = Instant::now();
        self.execute("BEGIN")?;
        people.iter().try_for_each(|person| self.insert_account(person, hash))?;
        self.execute("COMMIT")?;
        Ok(started.elapsed().as_secs_f64())
    }

    /// The same on PostgreSQL, which leaves out whoever is there.
    pub fn import_if_new(&mut self, people: &[Person], hash: &str) -> Result<f64, Box<dyn Error>> {
        let Self::Postgres(client, _) = self else {
            return Err("PostgreSQL only".into());
        };
        let lines = lines(people, hash);
        let started = Instant::now();
        let mut transaction = client.transaction()?;
        transaction.batch_execute(
            "CREATE TEMPORARY TABLE incoming (LIKE account_users INCLUDING DEFAULTS) ON COMMIT DROP",
        )?;
        let mut copy = transaction.copy_in(&format!("COPY incoming ({COLUMNS}) FROM STDIN"))?;
        copy.write_all(lines.as_bytes())?;
        copy.finish()?;
        transaction.batch_execute(&format!(
            "INSERT INTO account_users ({COLUMNS}) SELECT {COLUMNS} FROM incoming \
             ON CONFLICT DO NOTHING"
        ))?;
        transaction.commit()?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn execute(&mut self, sql: &str) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Postgres(client, _) => client.batch_execute(sql)?,
            Self::Sqlite(conn) => conn.execute_batch(sql)?,
        }
        Ok(())
    }
}

/// What `COPY` reads.
fn lines(people: &[Person], hash: &str) -> String {
    let (realm, now) = (RealmId::NIL, Timestamp::now().as_micros());
    let mut lines = String::new();
    for Person { id, username, email } in people {
        let _ = writeln!(
            lines,
            "{id}\t{realm}\t{username}\t{username}\t1\t{email}\t{email}\t1\t{hash}\t0\t0\t{now}\t\
             {now}\t{now}"
        );
    }
    lines
}

/// All that have no default.
const COLUMNS: &str = "id, realm, username, username_key, username_key_version, email, \
    email_key, email_key_version, password_hash, state, session_generation, created_at, \
    updated_at, password_changed_at";
