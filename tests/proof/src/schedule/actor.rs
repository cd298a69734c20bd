//! An actor: a connection, and how a call is made on it.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::r2d2::{
    ConnectionManager, CustomizeConnection, Error as R2d2Error, NopErrorHandler, Pool,
};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_accounts::{Accounts, Error, Policy, UserManager};

use crate::database::Database;
use crate::schedule::gates::{Gates, Stops};
use crate::schedule::model::Answer;
use crate::schedule::story::Call;
use crate::schedule::watch::ScheduledConnection;

/// Where a call is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "these are all")]
pub enum Place {
    /// On a connection from the manager's pool, prepared before.
    Manager,
    /// The same, unprepared: a creation looks up who is there, and hashes without a connection.
    SignUp,
    /// On a lent connection, without a transaction.
    Lent,
    /// In a transaction of a host that has rows of its own.
    Host {
        /// The number of its isolation level.
        level: usize,
        /// Whether it has looked for the account before, which fixes its snapshot.
        reads: bool,
    },
}

impl Place {
    /// The place in words, for reports.
    #[must_use]
    pub fn name<C: ScheduledConnection>(self) -> String {
        match self {
            Self::Manager => "manager".to_owned(),
            Self::SignUp => "sign-up".to_owned(),
            Self::Lent => "lent".to_owned(),
            Self::Host { level, reads } => {
                let (isolation, setting) = C::ISOLATIONS[level];
                let snapshot = if setting.ends_with("ON") { ", snapshot isolation" } else { "" };
                let read = if reads { ", has read" } else { "" };
                format!("host at {isolation}{snapshot}{read}")
            }
        }
    }

    /// Whether the guide says that a host has nothing to run its transaction again for, unless it
    /// meets a deadlock, or somebody is deleted.
    #[must_use]
    pub fn is_at_a_level_without_retries<C: ScheduledConnection>(self) -> bool {
        let calm = ["READ COMMITTED", "IMMEDIATE", "EXCLUSIVE"];
        matches!(self, Self::Host { level, .. } if calm.contains(&C::ISOLATIONS[level].0))
    }

    /// Whether the call is made in a transaction in which a server may lock what is read.
    #[must_use]
    pub fn is_serializable<C: ScheduledConnection>(self) -> bool {
        matches!(self, Self::Host { level, .. } if C::ISOLATIONS[level].0 == "SERIALIZABLE")
    }

    /// Whether the call is made in a transaction of a host.
    #[must_use]
    pub fn is_host(self) -> bool {
        matches!(self, Self::Host { .. })
    }
}

/// What became of a call.
#[derive(Debug)]
pub struct Told {
    /// The answer; `None` if the host gave up after so many runs of its transaction.
    pub answer: Option<Answer>,
    /// How often the library said that the host must roll back.
    pub rolled_back: u32,
    /// How often without a failure of the database: nobody was to be seen who was in the way.
    pub saw_nobody: u32,
    /// The number of the host's transaction that was committed.
    pub committed: Option<i64>,
    /// What must never be heard.
    pub wrong: Option<String>,
}

/// A connection with a gate, and where it is used.
#[derive(Debug)]
pub struct Actor<C: ScheduledConnection> {
    place: Place,
    hands: Hands<C>,
    session: i64,
}

enum Hands<C: ScheduledConnection> {
    Users(UserManager<C>),
    Own(C),
}

impl<C: ScheduledConnection> std::fmt::Debug for Hands<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Users(_) => "Users(..)",
            Self::Own(_) => "Own(..)",
        })
    }
}

impl<C: ScheduledConnection> Actor<C> {
    /// Connects.
    #[must_use]
    pub fn new(
        database: &Database<C>,
        policy: &Policy,
        place: Place,
        gates: &Gates,
        number: usize,
        stops: Stops,
    ) -> Self {
        let customizer = Gated { gates: gates.clone(), number, stops };
        if matches!(place, Place::Manager | Place::SignUp) {
            let pool = Pool::builder()
                .max_size(1)
                // Its `SELECT 1` can be swapped with everything.
                .test_on_check_out(false)
                .connection_customizer(Box::new(customizer))
                .error_handler(Box::new(NopErrorHandler))
                .build(ConnectionManager::<C>::new(database.url()))
                .unwrap();
            let session = pool.get().unwrap().session().unwrap();
            let hands = Hands::Users(UserManager::with_policy(pool, policy.clone()));
            return Self { place, hands, session };
        }
        let mut conn = C::establish(database.url()).unwrap();
        if let Place::Host { level, .. } = place {
            let setting = C::ISOLATIONS[level].1;
            // PostgreSQL refuses a message without a statement.
            if !setting.is_empty() {
                conn.batch_execute(setting).unwrap();
            }
        }
        customizer.on_acquire(&mut conn).unwrap();
        let session = conn.session().unwrap();
        Self { place, hands: Hands::Own(conn), session }
    }

    /// By what the server calls its session.
    #[must_use]
    pub fn session(&self) -> i64 {
        self.session
    }

    /// Makes a call; `first` is the number of a host's first transaction.
    pub fn act(&mut self, policy: &Policy, call: Call<'_>, first: i64) -> Told {
        let answer = match (&mut self.hands, self.place) {
            (Hands::Users(users), place) => without_transaction(call, || match call {
                Call::Create(person) if place == Place::SignUp => {
                    Answer::to_creation(users.create_user(person.new_user()))
                }
                Call::Create(person) => {
                    Answer::to_creation(users.create_prepared_user(&person.prepared))
                }
                Call::Delete(id) => Answer::to_deletion(users.delete_user(id)),
            }),
            (Hands::Own(conn), Place::Host { level, reads }) => {
                return in_transactions(conn, policy, C::ISOLATIONS[level].0, reads, call, first);
            }
            (Hands::Own(conn), _) => without_transaction(call, || call_on(conn, policy, call)),
        };
        let (answer, wrong) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(error) => (None, Some(format!("{error:?}"))),
        };
        Told { answer, rolled_back: 0, saw_nobody: 0, committed: None, wrong }
    }
}

/// A deletion that meets a lock is told so, and its caller asks again. A creation asks again itself.
fn without_transaction(
    call: Call<'_>,
    mut act: impl FnMut() -> Result<Answer, Error>,
) -> Result<Answer, Error> {
    let most = if matches!(call, Call::Delete(_)) { MOST_DELETIONS } else { 1 };
    let mut answer = act();
    for _ in 1..most {
        if !matches!(answer, Err(Error::Busy)) {
            break;
        }
        answer = act();
    }
    answer
}

fn call_on<C: ScheduledConnection>(
    conn: &mut C,
    policy: &Policy,
    call: Call<'_>,
) -> Result<Answer, Error> {
    let mut accounts = Accounts::new(policy, conn);
    match call {
        Call::Create(person) => Answer::to_creation(accounts.create_user(&person.prepared)),
        Call::Delete(id) => Answer::to_deletion(accounts.delete_user(id)),
    }
}

/// The host of the guide: rolls back and runs again where it has to, so many times.
fn in_transactions<C: ScheduledConnection>(
    conn: &mut C,
    policy: &Policy,
    isolation: &str,
    reads: bool,
    call: Call<'_>,
    first: i64,
) -> Told {
    let mut told =
        Told { answer: None, rolled_back: 0, saw_nobody: 0, committed: None, wrong: None };
    for number in first..first + MOST_RUNS {
        match in_transaction(conn, policy, isolation, reads, call, number) {
            Ok(answer) => {
                told.answer = Some(answer);
                told.committed = Some(number);
                return told;
            }
            Err(Failure::OfTheHost(error)) if is_contention(&error) => {}
            Err(Failure::OfTheHost(error)) => told.wrong = Some(format!("{error:?}")),
            Err(Failure::OfTheLibrary(Error::HostMustRollBack(cause))) => {
                told.rolled_back += 1;
                told.saw_nobody += u32::from(cause.is_none());
            }
            // After any other error a host may go on.
            Err(Failure::OfTheLibrary(error)) => {
                told.wrong = Some(match &error {
                    Error::Database(failure) => format!("{:?}", failure.diesel_error()),
                    error => format!("{error:?}"),
                });
            }
        }
        let depth = AnsiTransactionManager::transaction_manager_status_mut(conn);
        if !matches!(depth.transaction_depth(), Ok(None))
            && let Err(error) = AnsiTransactionManager::rollback_transaction(conn)
        {
            told.wrong = Some(format!("the host could not roll back: {error:?}"));
        }
        if told.wrong.is_some() {
            break;
        }
    }
    told
}

fn in_transaction<C: ScheduledConnection>(
    conn: &mut C,
    policy: &Policy,
    isolation: &str,
    reads: bool,
    call: Call<'_>,
    number: i64,
) -> Result<Answer, Failure> {
    conn.begin(isolation)?;
    if reads {
        let mut accounts = Accounts::new(policy, conn);
        let read = match call {
            Call::Create(person) => accounts.user_by_username(&person.username),
            Call::Delete(id) => accounts.user_by_id(id),
        };
        read.map_err(Failure::OfTheLibrary)?;
    }
    conn.batch_execute(&format!("INSERT INTO host_rows VALUES ({number}, 'before')"))?;
    let answer = call_on(conn, policy, call).map_err(Failure::OfTheLibrary)?;
    conn.batch_execute(&format!("INSERT INTO host_rows VALUES ({number}, 'after')"))?;
    AnsiTransactionManager::commit_transaction(conn)?;
    Ok(answer)
}

/// Whose statement failed.
enum Failure {
    OfTheHost(DieselError),
    OfTheLibrary(Error),
}

impl From<DieselError> for Failure {
    fn from(error: DieselError) -> Self {
        Self::OfTheHost(error)
    }
}

/// What a host's own statements, and its `COMMIT`, may be refused with.
fn is_contention(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        DieselError::DatabaseError(_, information) => {
            let texts = ["deadlock detected", "database is locked", "Record has changed since"];
            texts.iter().any(|text| information.message().starts_with(text))
        }
        _ => false,
    }
}

#[derive(Debug)]
struct Gated {
    gates: Gates,
    number: usize,
    stops: Stops,
}

impl<C: ScheduledConnection> CustomizeConnection<C, R2d2Error> for Gated {
    fn on_acquire(&self, conn: &mut C) -> Result<(), R2d2Error> {
        let set_up = conn.set_up().and_then(|()| conn.settle_at_once());
        set_up.map_err(R2d2Error::QueryError)?;
        conn.set_instrumentation(self.gates.gate(self.number, self.stops));
        Ok(())
    }
}

/// How often a host runs its transaction.
const MOST_RUNS: i64 = 6;
/// How often a deletion is asked for that was busy.
const MOST_DELETIONS: u32 = 100;
