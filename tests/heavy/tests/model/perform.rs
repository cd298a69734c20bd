//! Each operation, through the manager or on a lent connection.

use diesel_accounts::{
    Accounts, Creation, Error, ImportOutcome, Result, Timestamp, User, UserCursor, UserManager,
};

use crate::answer::Answer;
use crate::library::Library;
use crate::operation::{Change, Label, Name, Newcomer, Operation, Scope, Wanted};
use crate::stage::EngineConnection;
use crate::translate::{import_user, new_user};

/// How the library is asked.
pub(crate) enum Door<'a, C> {
    Pool,
    Lent(&'a mut C),
}

/// Does the same by a manager, or on the connection.
macro_rules! by {
    ($door:expr, $users:expr, |$accounts:ident| $act:expr) => {
        match $door {
            Door::Pool => {
                let $accounts = &$users;
                $act
            }
            Door::Lent(conn) => {
                let mut $accounts = $users.on(&mut **conn);
                $act
            }
        }
    };
}

impl<C: EngineConnection> Library<C> {
    pub(crate) fn perform(&mut self, door: &mut Door<'_, C>, operation: Operation) -> Answer {
        let answer = self.attempt(door, operation);
        answer.unwrap_or_else(|error| Answer::Failed(self.failure(error)))
    }

    fn attempt(&mut self, door: &mut Door<'_, C>, operation: Operation) -> Result<Answer> {
        match operation {
            Operation::Create { scope, label, applicant } => {
                let (users, new_user) =
                    (self.users(scope), new_user(self.given_id(label), applicant));
                let creation = match door {
                    Door::Pool => users.create_user(new_user)?,
                    Door::Lent(conn) => {
                        let prepared = users.prepare(new_user)?;
                        users.on(&mut **conn).create_user(&prepared)?
                    }
                };
                if let Creation::Created(user) = &creation {
                    self.labels.insert(label, user.id());
                }
                Ok(self.creation(creation))
            }
            Operation::Prepare { scope, label, applicant, slot } => {
                let prepared =
                    self.users(scope).prepare(new_user(self.given_id(label), applicant))?;
                let id = prepared.id();
                self.labels.insert(label, id);
                self.prepared.insert(slot, prepared);
                Ok(Answer::Prepared(self.who(id)))
            }
            Operation::CreatePrepared { scope, slot } => {
                let users = self.users(scope);
                let Some(prepared) = self.prepared.get(&slot) else {
                    return Ok(Answer::EmptySlot);
                };
                let creation = match door {
                    Door::Pool => users.create_prepared_user(prepared)?,
                    Door::Lent(conn) => users.on(&mut **conn).create_user(prepared)?,
                };
                Ok(self.creation(creation))
            }
            Operation::Import { scope, newcomers } => self.import(door, scope, newcomers),
            Operation::Find { scope, wanted } => {
                let (users, id) = (self.users(scope), |label| self.id(label));
                let found = by!(door, users, |accounts| match &wanted {
                    Wanted::Id(label) => accounts.user_by_id(id(*label))?,
                    Wanted::Username(text) => accounts.user_by_username(text)?,
                    Wanted::Email(text) => accounts.user_by_email(text)?,
                    Wanted::Login(text) => accounts.user_by_login(text)?,
                });
                Ok(Answer::Found(found.map(|user| self.person(&user))))
            }
            Operation::List { scope, after, limit } => {
                let users = self.users(scope);
                let after = match after.map(|label| self.id(label)) {
                    Some(id) => by!(door, users, |accounts| accounts.user_by_id(id)?),
                    None => None,
                };
                // As a host does it that puts the place into a URL.
                let after = after.map(|user| user.cursor().to_string());
                let after = after.map(|text| text.parse::<UserCursor>().unwrap());
                let page = by!(door, users, |accounts| accounts.list_users(after, limit)?);
                Ok(self.people(&page))
            }
            Operation::Search { scope, name, prefix, after, limit } => {
                let (users, after) = (self.users(scope), after.as_deref());
                let found = by!(door, users, |accounts| match name {
                    Name::Username => accounts.users_by_username_prefix(&prefix, after, limit)?,
                    Name::Email => accounts.users_by_email_prefix(&prefix, after, limit)?,
                });
                Ok(self.people(&found))
            }
            Operation::Change { scope, label, change } => {
                let (users, id) = (self.users(scope), self.id(label));
                by!(door, users, |accounts| match change {
                    Change::Disable => accounts.disable_user(id)?,
                    Change::Enable => accounts.enable_user(id)?,
                    Change::Reserve => accounts.reserve_user(id)?,
                    Change::Delete => accounts.delete_user(id)?,
                    Change::RemovePassword => accounts.set_unusable_password(id)?,
                    Change::DemandAnother => accounts.require_password_change(id)?,
                    Change::Unlock => accounts.unlock_user(id)?,
                });
                Ok(Answer::Done)
            }
            Operation::SetPassword { scope, label, password } => {
                let (users, id) = (self.users(scope), self.id(label));
                match door {
                    Door::Pool => users.set_password(id, password)?,
                    Door::Lent(conn) => {
                        let mut accounts = users.on(&mut **conn);
                        let user = accounts.user_by_id(id)?.ok_or(Error::UserNotFound)?;
                        let prepared = users.policy().prepare_password(&user, password)?;
                        accounts.set_password(id, &prepared)?;
                    }
                }
                Ok(Answer::Done)
            }
            Operation::FailedAttempts { scope, label } => {
                let (users, id) = (self.users(scope), self.id(label));
                let failed = by!(door, users, |accounts| accounts.failed_attempts(id)?);
                Ok(Answer::FailedAttempts {
                    count: failed.count(),
                    password_is_disabled: failed.password_is_disabled(),
                    waits_until: failed.waits_until().map(Timestamp::as_micros),
                })
            }
            Operation::SignIn { scope, visitor, login, password } => {
                let users = self.users_for(scope, visitor);
                let sign_in = match door {
                    Door::Pool => users.authenticate(&login, password)?,
                    Door::Lent(conn) => {
                        let mut accounts = users.on(&mut **conn);
                        let attempt = accounts.begin_sign_in(&login)?;
                        accounts.finish_sign_in(users.policy().verify(attempt, password))?
                    }
                };
                Ok(self.sign_in(visitor, sign_in))
            }
            Operation::BeginSignIn { scope, visitor, login, slot } => {
                let users = self.users_for(scope, visitor);
                let attempt = self.on(door, &users, |accounts| accounts.begin_sign_in(&login))?;
                self.sign_ins.insert(slot, attempt);
                Ok(Answer::Done)
            }
            Operation::FinishSignIn { scope, visitor, password, slot } => {
                let users = self.users(scope);
                let Some(attempt) = self.sign_ins.remove(&slot) else {
                    return Ok(Answer::EmptySlot);
                };
                let verified = users.policy().verify(attempt, password);
                let sign_in =
                    self.on(door, &users, |accounts| accounts.finish_sign_in(verified))?;
                Ok(self.sign_in(visitor, sign_in))
            }
            Operation::ChangePassword { scope, visitor, label, current, new } => {
                let (users, id) = (self.users_for(scope, visitor), self.id(label));
                let change = match door {
                    Door::Pool => users.change_password(id, current, new)?,
                    Door::Lent(conn) => {
                        let mut accounts = users.on(&mut **conn);
                        let attempt = accounts.begin_password_change(id, new)?;
                        let verified = users.policy().verify_password_change(attempt, current);
                        accounts.finish_password_change(verified)?
                    }
                };
                Ok(self.password_change(change))
            }
            Operation::BeginChange { scope, visitor, label, new, slot } => {
                let (users, id) = (self.users_for(scope, visitor), self.id(label));
                let attempt =
                    self.on(door, &users, |accounts| accounts.begin_password_change(id, new))?;
                self.changes.insert(slot, attempt);
                Ok(Answer::Done)
            }
            Operation::FinishChange { scope, current, slot } => {
                let users = self.users(scope);
                let Some(attempt) = self.changes.remove(&slot) else {
                    return Ok(Answer::EmptySlot);
                };
                let verified = users.policy().verify_password_change(attempt, current);
                let change =
                    self.on(door, &users, |accounts| accounts.finish_password_change(verified))?;
                Ok(self.password_change(change))
            }
            Operation::RememberSession { scope, label, slot } => {
                let (users, user) = self.user(door, scope, label)?;
                let session = users.policy().session_auth_hash(&user)?;
                self.sessions.insert(slot, session);
                Ok(Answer::Done)
            }
            Operation::CheckSession { scope, label, slot } => {
                let Some(session) = self.sessions.get(&slot).cloned() else {
                    return Ok(Answer::EmptySlot);
                };
                let (users, user) = self.user(door, scope, label)?;
                let holds = users.policy().is_session_auth_hash(&user, session.as_str())?;
                Ok(Answer::Holds(holds))
            }
            Operation::Check { scope } => {
                let users = self.users(scope);
                let report = by!(door, users, |accounts| accounts.check()?);
                assert!(report.is_sound(), "{report}");
                Ok(Answer::Done)
            }
            Operation::Migrate { scope } => {
                let users = self.users(scope);
                by!(door, users, |accounts| accounts.migrate()?);
                Ok(Answer::Done)
            }
        }
    }

    /// Does what only a connection can.
    fn on<T>(
        &self,
        door: &mut Door<'_, C>,
        users: &UserManager<C>,
        act: impl FnOnce(&mut Accounts<'_, C>) -> Result<T>,
    ) -> Result<T> {
        match door {
            Door::Pool => act(&mut users.on(&mut *self.stage.pool.get().unwrap())),
            Door::Lent(conn) => act(&mut users.on(&mut **conn)),
        }
    }

    fn import(
        &mut self,
        door: &mut Door<'_, C>,
        scope: Scope,
        newcomers: Vec<Newcomer>,
    ) -> Result<Answer> {
        let users = self.users(scope);
        let given = |newcomer: &Newcomer| newcomer.id.map(|number| self.id(Label::Given(number)));
        let imports: Vec<_> =
            newcomers.iter().map(|newcomer| import_user(given(newcomer), newcomer)).collect();
        let mut outcomes = Vec::new();
        match door {
            Door::Pool => {
                let summary = users.import_users(imports, |number, outcome| {
                    assert_eq!(usize::try_from(number).unwrap(), outcomes.len());
                    outcomes.push(self.import_outcome(outcome));
                })?;
                let sum = summary.created()
                    + summary.existing()
                    + summary.taken()
                    + summary.invalid()
                    + summary.failed();
                assert_eq!(usize::try_from(sum).unwrap(), newcomers.len());
            }
            Door::Lent(conn) => {
                let (mut valid, mut invalid) = (Vec::new(), Vec::new());
                for import in imports {
                    match users.policy().prepare_import(&import)? {
                        Ok(prepared) => {
                            valid.push(prepared);
                            invalid.push(None);
                        }
                        Err(error) => invalid.push(Some(ImportOutcome::Invalid(error))),
                    }
                }
                let mut imported = users.on(&mut **conn).import_users(&valid)?.into_iter();
                for invalid in invalid {
                    let outcome = invalid.or_else(|| imported.next()).unwrap();
                    outcomes.push(self.import_outcome(&outcome));
                }
            }
        }
        Ok(Answer::Imported(outcomes))
    }

    fn user(
        &self,
        door: &mut Door<'_, C>,
        scope: Scope,
        label: Label,
    ) -> Result<(UserManager<C>, User)> {
        let (users, id) = (self.users(scope), self.id(label));
        let found = by!(door, users, |accounts| accounts.user_by_id(id)?);
        Ok((users, found.ok_or(Error::UserNotFound)?))
    }
}
