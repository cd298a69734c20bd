//! A process that creates accounts in transactions of its own, and is killed at any moment.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read, Seek, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::{MysqlConnection, PgConnection, SqliteConnection};
use diesel_accounts::{NewUser, UserManager};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::faults::Pace;
use super::manager::Manager;
use super::people::{People, account_id, user_id};
use super::secrets::{search_for_passwords, search_for_secrets};
use super::server::WorkloadConnection;
use super::{DEADLINE, HEADROOM, LONGEST_STATEMENT, Plan, THREADS, severing};
use crate::checker::NOTHING_BY_PROCESS;
use crate::database::{Database, policy, pool_at};
use crate::history::{AccountId, Answer, Caller, End, Fault, Operation, Recorder, VICTIM, Way};
use crate::statements::before_each_statement;

/// What the process is asked to do.
#[derive(Deserialize, Serialize)]
struct Request {
    call: u64,
    id: AccountId,
    username: String,
    email: String,
    password: String,
}

/// What the process says of it.
#[derive(Deserialize, Eq, PartialEq, Serialize)]
enum Word {
    Created,
    NotCreated,
    Committed,
    RolledBack,
}

/// Is the process: it is called as `PROGRAM victim ENGINE URL`. It logs as hosts do.
pub fn run(engine: &str, url: &str) {
    match engine {
        "Sqlite" => obey::<SqliteConnection>(url),
        "Postgres" => obey::<PgConnection>(url),
        "Mysql" => obey::<MysqlConnection>(url),
        _ => panic!("there is no engine {engine}"),
    }
}

fn obey<C: WorkloadConnection>(url: &str) {
    let users = UserManager::<C>::with_policy(pool_at(url, 1), policy().build().unwrap());
    let mut conn = C::establish(url).unwrap();
    conn.set_up().unwrap();
    before_each_statement(&mut conn, log);
    for line in std::io::stdin().lines() {
        let request: Request = serde_json::from_str(&line.unwrap()).unwrap();
        let new_user = NewUser::new(request.username, request.email, request.password);
        let prepared = users.prepare(new_user.with_id(user_id(request.id))).unwrap();
        let (isolation, _) = C::ISOLATIONS[0];
        let host_row = format!("INSERT INTO host_rows VALUES ({})", request.call);
        let begun = conn.begin(isolation).and_then(|()| conn.batch_execute(&host_row));
        let created = begun.is_ok() && {
            let creation = users.on(&mut conn).create_user(&prepared);
            log(&format!("{creation:?}"));
            creation.is_ok_and(|creation| creation.is_created())
        };
        say(if created { Word::Created } else { Word::NotCreated });
        match created {
            true => {
                AnsiTransactionManager::commit_transaction(&mut conn).unwrap();
                say(Word::Committed);
            }
            false => {
                AnsiTransactionManager::rollback_transaction(&mut conn).unwrap();
                say(Word::RolledBack);
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "this is how the process answers")]
fn say(word: Word) {
    println!("{}", serde_json::to_string(&word).unwrap());
    std::io::stdout().flush().unwrap();
}

#[expect(clippy::print_stderr, reason = "this is where hosts log to")]
fn log(text: &str) {
    eprintln!("{text}");
}

/// Starts such processes, and kills each at some moment.
pub(super) fn torment<C: WorkloadConnection>(
    plan: &Plan,
    database: &Database<C>,
    managers: &[Manager<'_, C>],
    people: &Mutex<People>,
    mut chance: Rng,
    pace: Pace<'_>,
) {
    let recorder = managers[0].recorder;
    let mut thread = recorder.thread(THREADS + 1);
    let mut victim = None;
    let longest_step = DEADLINE + LONGEST_STATEMENT + HEADROOM;
    let (deadline, patience) = (DEADLINE, DEADLINE);
    let caller = Caller { manager: VICTIM, longest_step, deadline, patience };
    while !pace.is_over() {
        let person = {
            let mut people = people.lock().unwrap();
            let cell = if chance.bool() { people.hot() } else { people.cell() };
            let person = people.new_person(cell, &mut chance);
            people.remember(person);
            person
        };
        let way = Way::Transaction { isolation: C::ISOLATIONS[0].0.to_owned() };
        let operation = Operation::Create {
            id: account_id(person.id),
            username: person.username,
            email: person.email,
            password: person.password,
            way,
            refuses_duplicates: false,
        };
        let from = recorder.now();
        let answer = thread.call(caller, operation, |call| {
            let request = Request {
                call,
                id: account_id(person.id),
                username: person.username.username(),
                email: person.email.email(),
                password: person.password.text(),
            };
            let process = victim.get_or_insert_with(|| Victim::start(plan, database, recorder));
            (process.ask(&request, &mut chance), None)
        });
        if let Answer::Transaction { end: End::Unknown, .. } = answer {
            people.lock().unwrap().remember_undetermined(person);
            victim = None;
            let kind = "process killed".to_owned();
            let (manager, to) = (Some(VICTIM), recorder.now());
            recorder.fault(Fault { kind, manager, from, to, ..severing() });
        }
        pace.wait(&mut chance, 10..130);
    }
}

struct Victim<'a> {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: File,
    recorder: &'a Recorder,
}

impl<'a> Victim<'a> {
    fn start<C: WorkloadConnection>(
        plan: &Plan,
        database: &Database<C>,
        recorder: &'a Recorder,
    ) -> Self {
        let engine = format!("{:?}", C::ENGINE);
        let log = tempfile::tempfile().unwrap();
        let mut child = Command::new(&plan.victim)
            .args(["victim", &engine, database.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap();
        let questions = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, questions, answers, log, recorder }
    }

    /// Asks the process, and perhaps kills it before it has answered.
    fn ask(&mut self, request: &Request, chance: &mut Rng) -> Answer {
        let transaction = |inside, end| Answer::Transaction { inside: Box::new(inside), end };
        let killed = || transaction(Answer::Undetermined, End::Unknown);
        let question = serde_json::to_string(request).unwrap();
        if writeln!(self.questions, "{question}").is_err() {
            return killed();
        }
        let fate = chance.u8(0..4);
        if fate == 0 {
            thread::sleep(Duration::from_micros(chance.u64(0..8000)));
            return self.kill_before(killed());
        }
        let Some(word) = self.hear() else { return self.kill_before(killed()) };
        if fate == 1 {
            thread::sleep(Duration::from_micros(chance.u64(0..500)));
            return self.kill_before(killed());
        }
        let inside = match word {
            Word::Created => Answer::Created,
            _ => Answer::NotDone { error: NOTHING_BY_PROCESS.to_owned() },
        };
        match self.hear() {
            Some(Word::Committed) => transaction(inside, End::Committed),
            Some(Word::RolledBack) => transaction(inside, End::RolledBack),
            _ => self.kill_before(killed()),
        }
    }

    fn hear(&mut self) -> Option<Word> {
        let answer = self.answers.next()?.ok()?;
        search_for_secrets(&answer, |secret| {
            self.recorder.leak("an answer of a killed process", secret);
        });
        serde_json::from_str(&answer).ok()
    }

    /// Kills the process, and waits until it is gone.
    fn kill_before(&mut self, answer: Answer) -> Answer {
        let _ = self.child.kill();
        let _ = self.child.wait();
        answer
    }

    fn search_log(&mut self) {
        let mut log = Vec::new();
        self.log.rewind().unwrap();
        self.log.read_to_end(&mut log).unwrap();
        search_for_passwords(&String::from_utf8_lossy(&log), |secret| {
            self.recorder.leak("the log of a killed process", secret);
        });
    }
}

impl Drop for Victim<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.search_log();
    }
}
