//! The import itself, and the dry run.

use std::error::Error;
use std::path::Path;

use diesel::r2d2::{ConnectionManager, Pool, R2D2Connection};
use diesel::result::Error as DieselError;
use diesel_accounts::{
    AccountConnection, Argon2Cost, ForeignHashes, Hashing, Identifiers, ImportOutcome, ImportUser,
    Policy, SchemaProblem, UserManager, UsernameRules,
};

use crate::arguments::Arguments;
use crate::django::DjangoUser;
use crate::report::Report;
use crate::source::Source;
use crate::support::{Database, with_pool};

/// Imports all rows, or finds out what would come of it.
pub(crate) fn import(
    source: &mut Source,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let policy = policy(arguments)?;
    let layer = arguments.layer;
    if !arguments.dry_run {
        let database = Database::connect(Some(arguments.database_url.clone()), 1)?;
        return with_pool!(database, |pool| write(source, pool, policy, layer, report));
    }
    let database = database_for_dry_run(&arguments.database_url, &policy)?;
    with_pool!(database, |pool| write_nothing(source, pool, policy, layer, report))
}

/// What the service has to allow as well, or what it imports cannot be changed later.
///
/// The names that are reserved by default are not reserved here: `admin` of the old site stays
/// `admin`, and nobody else can be it.
fn policy(arguments: &Arguments) -> Result<Policy, Box<dyn Error>> {
    let mut foreign = ForeignHashes::django()
        .pbkdf2_sha256(arguments.iterations)
        .pbkdf2_sha1(arguments.iterations);
    if arguments.layer {
        foreign = foreign.layered();
    }
    let mut hashing = Hashing::new().accept(foreign);
    if arguments.dry_run {
        // What is wrapped now is thrown away.
        hashing = hashing.cost(Argon2Cost::new(8, 1, 1)?);
    }
    // Django has 150 characters and `@` as well: such names are reported.
    let usernames = UsernameRules::new().punctuation("._-+").max_length(100).reserved::<&str>([]);
    let policy =
        Policy::builder().identifiers(Identifiers::Either).usernames(usernames).hashing(hashing);
    Ok(policy.build()?)
}

/// The accounts; where there are none yet, an empty database in memory in their stead: names are
/// the same names on every engine.
fn database_for_dry_run(url: &str, policy: &Policy) -> Result<Database, Box<dyn Error>> {
    let missing_file = url.strip_prefix("sqlite://").is_some_and(|path| !Path::new(path).exists());
    if !missing_file {
        let database = Database::connect(Some(url.to_owned()), 1)?;
        if with_pool!(&database, |pool| has_accounts(pool, policy)?) {
            return Ok(database);
        }
    }
    let scratch = Database::connect(Some("sqlite://:memory:".to_owned()), 1)?;
    with_pool!(&scratch, |pool| UserManager::new(pool.clone()).migrate()?);
    Ok(scratch)
}

fn has_accounts<C>(
    pool: &Pool<ConnectionManager<C>>,
    policy: &Policy,
) -> Result<bool, Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let report = UserManager::with_policy(pool.clone(), policy.clone()).check()?;
    let is_missing = report.findings().iter().any(|finding| {
        finding.problem() == SchemaProblem::MissingTable && finding.subject() == "account_users"
    });
    Ok(!is_missing)
}

/// Each page is committed before the next is read: what an interrupted run did stays done.
fn write<C>(
    source: &mut Source,
    pool: Pool<ConnectionManager<C>>,
    policy: Policy,
    layer: bool,
    report: &mut Report,
) -> Result<(), Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let users = UserManager::with_policy(pool, policy);
    users.migrate()?;
    each_page(source, layer, report, |report, ids, imports| {
        let mut ids = ids.into_iter();
        let _told = users.import_users(imports, |_, outcome| {
            if let Some(id) = ids.next() {
                report.tell(id, outcome);
            }
        })?;
        Ok(())
    })
}

/// Does everything, and takes it back. All of it in one transaction: of two rows with one name the
/// second is to be found, however far they are apart.
fn write_nothing<C>(
    source: &mut Source,
    pool: Pool<ConnectionManager<C>>,
    policy: Policy,
    layer: bool,
    report: &mut Report,
) -> Result<(), Box<dyn Error>>
where
    C: AccountConnection + R2D2Connection + 'static,
{
    let mut conn = pool.get()?;
    let users = UserManager::with_policy(pool, policy);
    let end = conn.transaction(|conn| {
        each_page(source, layer, report, |report, ids, imports| {
            let (mut valid, mut invalid) = (Vec::new(), Vec::new());
            for import in &imports {
                match users.policy().prepare_import(import)? {
                    Ok(import) => {
                        valid.push(import);
                        invalid.push(None);
                    }
                    Err(error) => invalid.push(Some(ImportOutcome::Invalid(error))),
                }
            }
            let mut outcomes = users.on(&mut *conn).import_users(&valid)?.into_iter();
            for (id, invalid) in ids.into_iter().zip(invalid) {
                if let Some(outcome) = invalid.or_else(|| outcomes.next()) {
                    report.tell(id, &outcome);
                }
            }
            Ok(())
        })
        .map_or_else(|error| Err(RolledBack::Trouble(error)), |()| Err::<(), _>(RolledBack::Done))
    });
    match end {
        Ok(()) | Err(RolledBack::Done) => Ok(()),
        Err(RolledBack::Trouble(error)) => Err(error),
    }
}

/// Why a dry run was rolled back.
enum RolledBack {
    Done,
    Trouble(Box<dyn Error>),
}

impl From<DieselError> for RolledBack {
    fn from(error: DieselError) -> Self {
        Self::Trouble(error.into())
    }
}

/// Reads page after page, and hands on the rows that can be understood, with their ids.
fn each_page(
    source: &mut Source,
    layer: bool,
    report: &mut Report,
    mut act: impl FnMut(&mut Report, Vec<i64>, Vec<ImportUser>) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    loop {
        let page = source.page()?;
        if page.is_empty() {
            return Ok(());
        }
        let (ids, imports) = readable(page, layer, report);
        act(report, ids, imports)?;
    }
}

fn readable(
    page: Vec<DjangoUser>,
    layer: bool,
    report: &mut Report,
) -> (Vec<i64>, Vec<ImportUser>) {
    let (mut ids, mut imports) = (Vec::new(), Vec::new());
    for user in page {
        let id = user.id;
        match user.into_import(layer) {
            Ok(import) => {
                ids.push(id);
                imports.push(import);
            }
            Err(unreadable) => report.tell_unreadable(id, &unreadable),
        }
    }
    (ids, imports)
}
