//! The list of users, for those whom the settings name.

use diesel_accounts::{Creation, NewUser};

use crate::browser::Browser;
use crate::in_each_browser;
use crate::looks::assert_can_be_read;
use crate::people::{ALICE, BOB, Person};
use crate::stage::Stage;

in_each_browser!(
    who_is_named_in_the_settings_sees_all_users_and_finds_them,
    nobody_else_is_told_that_there_is_a_list,
);

fn who_is_named_in_the_settings_sees_all_users_and_finds_them(stage: &mut Stage) {
    make_alice_admin(stage);
    let browser = &stage.browser;
    log_in(browser, &ALICE);
    browser.keep_picture("account");
    browser.arrive(|| browser.click("a[href='/admin/users']"));
    assert_eq!(browser.heading(), "Users");
    assert_can_be_read(browser, "users", &[ALICE.email, "active", "Last log-in"]);
    assert_eq!(rows(browser), 50);
    browser.arrive(|| browser.click("a[rel=next]"));
    browser.keep_picture("next");
    assert_eq!(rows(browser), 2);

    browser.fill("search", "bob");
    browser.arrive(|| browser.click("form button"));
    browser.keep_picture("found");
    assert_eq!((rows(browser), &*browser.value("search")), (1, "bob"));
    assert!(browser.text("tbody tr").contains(BOB.email));

    browser.fill("search", "nobody");
    browser.arrive(|| browser.click("form button"));
    browser.keep_picture("nobody");
    assert_eq!((rows(browser), &*browser.text("[role=status]")), (0, "There is nobody."));
}

fn nobody_else_is_told_that_there_is_a_list(stage: &mut Stage) {
    make_alice_admin(stage);
    let browser = &stage.browser;
    browser.open("/admin/users");
    assert_eq!(browser.heading(), "That did not work");
    log_in(browser, &BOB);
    assert!(!browser.text("main").contains("All users"));
    browser.open("/admin/users");
    browser.keep_picture("refused");
    assert_eq!(browser.heading(), "That did not work");
    assert_eq!(browser.text("[role=alert]"), "There is nothing here.");
}

/// Registers her, among 52 users, and starts the service again with her id.
fn make_alice_admin(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    browser.fill_in(&ALICE);
    browser.submit();
    let users = stage.service.database().users(1);
    let alice = users.user_by_username(ALICE.username).unwrap().unwrap();
    let create = |username: &str, email: &str, password: &str| {
        let created = users.create_user(NewUser::new(username, email, password)).unwrap();
        assert!(matches!(created, Creation::Created(_)));
    };
    create(BOB.username, BOB.email, BOB.password);
    for number in 0..50 {
        let name = format!("user{number}");
        create(&name, &format!("{name}@example.org"), "a password of nobody's");
    }
    stage.service.restart_with_admins(&alice.id().to_string());
    let site = stage.service.url("");
    stage.browser.set_site(&site);
}

fn log_in(browser: &Browser, person: &Person) {
    browser.open("/login");
    browser.fill("login", person.username);
    browser.fill("password", person.password);
    browser.submit();
    assert_eq!(browser.heading(), "Your account");
}

fn rows(browser: &Browser) -> i64 {
    let rows = browser.script("return document.querySelectorAll('tbody tr').length", Vec::new());
    rows.as_i64().unwrap()
}
