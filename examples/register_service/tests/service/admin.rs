//! The list of users, for those that the settings name.

use std::thread;

use diesel_accounts_proof::database::{Database, ProofConnection};

use crate::client::{Answer, Browser};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::{Service, Setup};
use crate::table::execute;

on_each_engine!(
    the_list_is_there_for_admins_only,
    the_list_is_read_page_by_page_without_gap_or_repeat,
    names_are_shown_as_text,
);

fn the_list_is_there_for_admins_only<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let setup = Setup::on(&database);
    let service = setup.start();
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let id = service.client().registered(&alice);
    service.client().registered(&bob);
    let browsers = [
        Browser::new(service.client()),
        Browser::of(service.client(), &bob),
        Browser::of(service.client(), &alice),
    ];
    for mut browser in browsers.clone() {
        assert_eq!(browser.get("/admin/users").status, 404);
    }
    let service = setup.set("ADMIN_USERS", &id).start();
    let statuses = browsers.map(|browser| {
        let answer = browser.moved_to(service.client()).get("/admin/users");
        assert_eq!(answer.status == 200, answer.text.contains(&bob.email), "{answer:?}");
        answer.status
    });
    assert_eq!(statuses, [404, 404, 200]);
}

fn the_list_is_read_page_by_page_without_gap_or_repeat<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let (service, mut admin) = with_admin(&database);
    let users = database.users(4);
    // Four at once, so that some are of the same microsecond or near it.
    thread::scope(|scope| {
        for part in 0..4 {
            let users = &users;
            scope.spawn(move || {
                for number in (0..120).filter(|number| number % 4 == part) {
                    let person = Person::new(&format!("u{number:03}"));
                    assert!(users.create_user(person.new_user()).unwrap().is_created());
                }
            });
        }
    });
    let mut everybody: Vec<_> = (0..120).map(|number| format!("canary_u{number:03}")).collect();
    everybody.push("canary_admin".to_owned());

    for (search, expected) in [
        ("", &everybody[..]),
        ("canary_u", &everybody[..120]),
        // Whoever has a part of an address has an `@`.
        ("CANARY_U0", &everybody[..100]),
        ("canary_u01", &everybody[10..20]),
        ("canary_u119@exam", &everybody[119..120]),
        ("canary_nobody", &[]),
        ("%", &[]),
        ("_", &[]),
    ] {
        let mut found = Vec::new();
        let mut path = format!("/admin/users?search={}", search.replace('%', "%25"));
        loop {
            let answer = admin.get(&path);
            assert_eq!(answer.status, 200, "{answer:?}");
            let names = names(&answer);
            found.extend(names.iter().cloned());
            match next_page(&answer) {
                Some(next) => {
                    assert_eq!(names.len(), 50, "{search}");
                    path = next;
                }
                None => break,
            }
        }
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected, "{search}");
    }
    assert_eq!(admin.get("/admin/users?after=nowhere").status, 400);
    service.stop();
}

fn names_are_shown_as_text<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let (service, mut admin) = with_admin(&database);
    service.client().registered(&Person::new("alice"));
    // No such name is registered: it may have been imported.
    execute(
        &database,
        "UPDATE account_users SET username = '<script>&\"', email = '<i>@example.org' \
         WHERE username = 'canary_alice'",
    );
    let answer = admin.get("/admin/users?search=%3Cb%3E%22");
    assert!(answer.text.contains("value=\"&lt;b&gt;&quot;\""), "{answer:?}");
    let answer = admin.get("/admin/users");
    assert!(answer.text.contains("<td>&lt;script&gt;&amp;&quot;</td>"), "{answer:?}");
    assert!(answer.text.contains("<td>&lt;i&gt;@example.org</td>"), "{answer:?}");
    assert!(!answer.text.contains("<script>") && !answer.text.contains("<i>"), "{answer:?}");
}

/// A service with one user, who is its administrator and signed in.
fn with_admin<C: ProofConnection>(database: &Database<C>) -> (Service, Browser) {
    let setup = Setup::on(database);
    let admin = Person::new("admin");
    let id = setup.start().client().registered(&admin);
    let service = setup.set("ADMIN_USERS", &id).start();
    let browser = Browser::of(service.client(), &admin);
    (service, browser)
}

/// The first column of the table.
fn names(answer: &Answer) -> Vec<String> {
    let rows = answer.text.split("<tr><td>").skip(1);
    rows.map(|row| row.split('<').next().unwrap().to_owned()).collect()
}

fn next_page(answer: &Answer) -> Option<String> {
    let link = answer.text.split_once("class=\"button\" href=\"")?.1;
    Some(link.split('"').next().unwrap().replace("&amp;", "&"))
}
