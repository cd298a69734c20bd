//! Listing accounts, page by page.

use std::collections::BTreeSet;

use diesel_accounts::{Clock, NewUser, Timestamp, User, UserCursor, UserId};

use super::fill;
use crate::support::{PASSWORD, TestConnection, TestDb, alice, bob, cheap_policy, on_each_engine};

on_each_engine!(
    every_user_is_listed_once_while_others_come_and_go,
    users_of_one_moment_are_listed_by_id,
    a_page_has_as_many_users_as_asked_for_and_at_most_a_thousand,
    a_cursor_of_a_deleted_user_is_still_a_place,
);

fn every_user_is_listed_once_while_others_come_and_go<C: TestConnection>(db: TestDb<C>) {
    let there = BTreeSet::from_iter((0..23).map(|n| db.create(numbered(n)).id()));
    let mut seen = Vec::new();
    let mut pages = 0;
    let mut after = None;
    loop {
        let page = db.users.list_users(after, 4).unwrap();
        let (Some(first), Some(last)) = (page.first(), page.last()) else {
            break;
        };
        seen.extend(page.iter().map(User::id));
        pages += 1;
        after = Some(last.cursor());
        if pages < 5 {
            // One who was listed leaves, and one comes.
            db.users.delete_user(first.id()).unwrap();
            db.create(numbered(100 + pages));
        }
    }
    let once = BTreeSet::from_iter(seen.iter().copied());
    assert_eq!(once.len(), seen.len(), "somebody was listed twice");
    assert!(once.is_superset(&there), "somebody was left out");
    assert_eq!(once.len(), there.len() + 4, "those who came are at the end");
}

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_000_000)
    }
}

fn users_of_one_moment_are_listed_by_id<C: TestConnection>(db: TestDb<C>) {
    let users = db.users_with(cheap_policy().clock(Frozen));
    let ids: Vec<_> = [0_u8, 1, 2, 9, 10, 0x20, 0x5c, 0x7f, 0x80, 0xc3, 0xfe, 0xff]
        .into_iter()
        .map(|byte| {
            let mut bytes = [0x41; 16];
            bytes[0] = byte;
            UserId::from_bytes(bytes)
        })
        .collect();
    for (n, id) in ids.iter().enumerate().rev() {
        assert!(users.create_user(numbered(n).with_id(*id)).unwrap().is_created());
    }
    for size in [1, 2, 5, 100] {
        let mut listed: Vec<UserId> = Vec::new();
        let mut after = None;
        loop {
            let page = users.list_users(after, size).unwrap();
            let Some(last) = page.last() else { break };
            // A cursor can be sent away as text and come back.
            after = Some(last.cursor().to_string().parse::<UserCursor>().unwrap());
            listed.extend(page.iter().map(User::id));
            assert!(listed.len() <= ids.len(), "pages of {size} do not end");
        }
        assert_eq!(listed, ids, "pages of {size}");
    }
}

fn a_page_has_as_many_users_as_asked_for_and_at_most_a_thousand<C: TestConnection>(db: TestDb<C>) {
    fill(&db);
    for (limit, length) in
        [(0, 0), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000), (u32::MAX, 1_000)]
    {
        let pages = [
            db.users.list_users(None, limit).unwrap(),
            db.users.users_by_username_prefix("user", None, limit).unwrap(),
            db.users.users_by_email_prefix("user", None, limit).unwrap(),
        ];
        assert_eq!(pages.map(|page| page.len()), [length; 3], "{limit}");
    }
}

fn a_cursor_of_a_deleted_user_is_still_a_place<C: TestConnection>(db: TestDb<C>) {
    let first = db.create(alice());
    let second = db.create(bob());
    db.users.delete_user(first.id()).unwrap();
    assert_eq!(
        db.users.list_users(Some(first.cursor()), 10).unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(db.users.list_users(Some(second.cursor()), 10).unwrap(), []);
}

fn numbered(n: usize) -> NewUser {
    NewUser::new(format!("n{n}"), format!("n{n}@example.org"), PASSWORD).without_password()
}
