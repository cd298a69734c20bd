//! Searches and lists, page by page.

use diesel::SqliteConnection;
use diesel_accounts::{
    Accounts, Clock, Identifiers, NewUser, Policy, Timestamp, User, UserCursor, UserId,
    UsernameRules,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{cheap_policy, create_named, database, username_policy};
use crate::texts::texts;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_search_by_username_is_a_filter_over_sorted_names(
        names in vec("[aAbB\u{e4}\u{c4}\u{439}\u{419}._%\\\\-]{0,4}[abAB]", 0..20),
        prefix in "[aAb\u{e4}\u{c4}\u{439}._%\\\\-]{0,3}",
        after in proptest::option::of("[aAb\u{e4}._%]{0,3}b"),
        limit in 0..25_u32,
    ) {
        let policy = username_policy(UsernameRules::new().punctuation("._-%\\"));
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let mut model = Vec::new();
        for name in names {
            let creation = create_named(&policy, &mut accounts, &name).unwrap();
            if let Some(user) = creation.created() {
                model.push((name.to_lowercase(), user));
            }
        }
        let found = accounts.users_by_username_prefix(&prefix, after.as_deref(), limit).unwrap();
        prop_assert_eq!(found, page(model, &prefix, after.as_deref(), limit));
    }

    #[test]
    fn a_search_by_email_is_a_filter_over_sorted_addresses(
        addresses in vec("[aAbB_%]{1,3}@[aAbB]{1,2}\\.(example|EXAMPLE\\.org)", 0..20),
        prefix in "[aAb_%]{0,3}(@([aAb]{1,2}(\\.e)?)?)?",
        after in proptest::option::of("[aAb]{1,2}@[ab]\\.example"),
        limit in 0..25_u32,
    ) {
        let policy = cheap_policy().identifiers(Identifiers::EmailRequired).build().unwrap();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let mut model = Vec::new();
        for address in addresses {
            let new_user = NewUser::with_email(address.as_str(), "").without_password();
            let creation = accounts.create_user(&policy.prepare(new_user).unwrap()).unwrap();
            if let Some(user) = creation.created() {
                model.push((address.to_lowercase(), user));
            }
        }
        let found = accounts.users_by_email_prefix(&prefix, after.as_deref(), limit).unwrap();
        prop_assert_eq!(found, page(model, &prefix, after.as_deref(), limit));
    }

    #[test]
    fn a_search_for_any_text_is_answered(
        prefix in texts(),
        after in proptest::option::of(texts()),
    ) {
        let policy = Policy::default();
        let mut conn = database();
        let mut accounts = Accounts::new(&policy, &mut conn);
        prop_assert!(accounts.users_by_username_prefix(&prefix, after.as_deref(), 9).is_ok());
        prop_assert!(accounts.users_by_email_prefix(&prefix, after.as_deref(), 9).is_ok());
        prop_assert_eq!(accounts.user_by_username(&prefix).unwrap(), None);
        prop_assert_eq!(accounts.user_by_email(&prefix).unwrap(), None);
    }

    #[test]
    fn pages_of_any_sizes_make_up_the_whole_list(
        times in vec(-2..3_i64, 0..30),
        sizes in vec(1..12_u32, 1..6),
    ) {
        let mut conn = database();
        for (number, &micros) in times.iter().enumerate() {
            let policy = cheap_policy().clock(At(micros)).build().unwrap();
            let name = format!("user{number}");
            let new_user = NewUser::new(name.as_str(), format!("{name}@example.org"), "");
            let prepared = policy.prepare(new_user.without_password()).unwrap();
            let creation = Accounts::new(&policy, &mut conn).create_user(&prepared).unwrap();
            prop_assert!(creation.is_created());
        }
        let policy = cheap_policy().build().unwrap();
        let mut accounts = Accounts::new(&policy, &mut conn);
        let whole = accounts.list_users(None, 1_000).unwrap();
        prop_assert_eq!(whole.len(), times.len());
        prop_assert!(whole.is_sorted_by_key(|user| (user.created_at(), user.id())));

        let mut listed: Vec<User> = Vec::new();
        for size in sizes.into_iter().cycle() {
            // As a host does it that puts the place into a URL.
            let place = listed.last().map(|user| user.cursor().to_string());
            let after = place.map(|place| place.parse::<UserCursor>().unwrap());
            let page = accounts.list_users(after, size).unwrap();
            prop_assert!(page.len() <= usize::try_from(size).unwrap());
            if page.is_empty() {
                break;
            }
            listed.extend(page);
        }
        prop_assert_eq!(listed, whole);
    }

    #[test]
    fn whoever_stays_is_listed_once_whatever_happens_between_the_pages(
        list in prop::sample::select(vec![List::Whole, List::ByUsername, List::ByEmail]),
        at_first in vec(("[ab]{0,3}", 0..3_i64), 0..12),
        pages in vec((1..5_u32, vec(events(), 0..3)), 1..8),
    ) {
        let mut conn = database();
        let mut crowd = Crowd::default();
        for (letters, micros) in at_first {
            crowd.create(&mut conn, &letters, micros);
        }
        let mut staying = crowd.ids.clone();
        let mut listed: Vec<User> = Vec::new();
        for (size, events) in pages.into_iter().cycle() {
            let page = list.page(&mut conn, listed.last(), size);
            prop_assert!(page.len() <= usize::try_from(size).unwrap());
            if page.is_empty() {
                break;
            }
            listed.extend(page);
            for event in events {
                match event {
                    Event::Created(letters, micros) if crowd.ids.len() < 20 => {
                        crowd.create(&mut conn, &letters, micros);
                    }
                    Event::Created(..) => {}
                    Event::Deleted(index) if !crowd.ids.is_empty() => {
                        let id = *index.get(&crowd.ids);
                        // A second time it is nobody.
                        let _ = Accounts::new(&Crowd::policy(0), &mut conn).delete_user(id);
                        staying.retain(|staying| *staying != id);
                    }
                    Event::Reserved(index) if !crowd.ids.is_empty() => {
                        let id = *index.get(&crowd.ids);
                        let _ = Accounts::new(&Crowd::policy(0), &mut conn).reserve_user(id);
                        staying.retain(|staying| *staying != id);
                    }
                    Event::Deleted(_) | Event::Reserved(_) => {}
                }
            }
        }
        let places = listed.windows(2).map(|pair| (list.place(&pair[0]), list.place(&pair[1])));
        for (earlier, later) in places {
            prop_assert!(earlier < later, "{:?} {:?}", earlier, later);
        }
        for id in staying {
            prop_assert_eq!(listed.iter().filter(|user| user.id() == id).count(), 1);
        }
    }
}

/// A way through all accounts.
#[derive(Clone, Copy, Debug)]
enum List {
    Whole,
    ByUsername,
    ByEmail,
}

impl List {
    fn page(self, conn: &mut SqliteConnection, last: Option<&User>, size: u32) -> Vec<User> {
        let policy = Policy::default();
        let mut accounts = Accounts::new(&policy, conn);
        match self {
            Self::Whole => accounts.list_users(last.map(User::cursor), size),
            Self::ByUsername => {
                accounts.users_by_username_prefix("", last.and_then(User::username), size)
            }
            Self::ByEmail => accounts.users_by_email_prefix("", last.and_then(User::email), size),
        }
        .unwrap()
    }

    /// What the list is sorted by.
    fn place(self, user: &User) -> (Option<Timestamp>, Option<UserId>, Option<&str>) {
        match self {
            Self::Whole => (Some(user.created_at()), Some(user.id()), None),
            Self::ByUsername => (None, None, user.username()),
            Self::ByEmail => (None, None, user.email()),
        }
    }
}

/// What happens while somebody turns the pages.
#[derive(Clone, Debug)]
enum Event {
    Created(String, i64),
    Deleted(prop::sample::Index),
    Reserved(prop::sample::Index),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        ("[ab]{0,3}", -1..4_i64).prop_map(|(letters, micros)| Event::Created(letters, micros)),
        any::<prop::sample::Index>().prop_map(Event::Deleted),
        any::<prop::sample::Index>().prop_map(Event::Reserved),
    ]
}

/// Everybody who was ever created.
#[derive(Default)]
struct Crowd {
    ids: Vec<UserId>,
}

impl Crowd {
    /// The letters decide about the place among the names; the number makes the name unique.
    fn create(&mut self, conn: &mut SqliteConnection, letters: &str, micros: i64) {
        let policy = Self::policy(micros);
        let name = format!("{letters}{}", self.ids.len());
        let new_user = NewUser::new(name.as_str(), format!("{name}@example.org"), "");
        let prepared = policy.prepare(new_user.without_password()).unwrap();
        let creation = Accounts::new(&policy, conn).create_user(&prepared).unwrap();
        self.ids.push(creation.created().unwrap().id());
    }

    fn policy(micros: i64) -> Policy {
        cheap_policy().clock(At(micros)).build().unwrap()
    }
}

/// What a search must find, over users with their canonical names.
fn page(
    mut model: Vec<(String, User)>,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> Vec<User> {
    model.sort_by(|left, right| left.0.cmp(&right.0));
    model
        .into_iter()
        .filter(|(key, _)| key.starts_with(&prefix.to_lowercase()))
        .filter(|(key, _)| after.is_none_or(|after| *key > after.to_lowercase()))
        .map(|(_, user)| user)
        .take(usize::try_from(limit).unwrap())
        .collect()
}

/// A clock that has stopped.
#[derive(Debug)]
struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }
}
