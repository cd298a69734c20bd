//! What strangers send can forge no line of a record, and no secret is in any.

use std::sync::{Arc, Mutex};

use diesel_accounts::{Context, Engine, ImportUser, NewUser, SecretKey};
use diesel_accounts_proof::statements::before_each_statement;

use crate::on_each_engine;
use crate::support::{Host, PASSWORD, Stage, person};

on_each_engine!(
    texts_of_strangers_are_escaped_and_cut,
    texts_of_the_greatest_length_fit,
    no_secret_is_in_a_record_or_in_what_is_heard,
    the_statements_of_a_record_show_no_secret,
);

fn texts_of_strangers_are_escaped_and_cut<C: Host>(stage: Stage<C>) {
    let texts: [(&str, &str); 12] = [
        ("", ""),
        (" ", " "),
        ("a\0b", "a\\u{0}b"),
        ("a\r\nsign_in accepted", "a\\r\\nsign_in accepted"),
        ("\t\u{7f}\u{85}\u{2028}", "\\t\\u{7f}\\u{85}\\u{2028}"),
        ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ("\u{feff}bom", "\\u{feff}bom"),
        ("\\u{0}", "\\\\u{0}"),
        ("'; DROP TABLE account_events; --", "'; DROP TABLE account_events; --"),
        ("%s %n {} $1 ?", "%s %n {} $1 ?"),
        ("b\u{fc}cher \u{1f512} \u{6f22}", "b\u{fc}cher \u{1f512} \u{6f22}"),
        ("\u{fffd}\u{fffd}", "\u{fffd}\u{fffd}"),
    ];
    let id = stage.create("alice").id();
    for (typed, cleaned) in texts {
        let users = stage.users.with(Context::new().client(typed).request_id(typed));
        users.enable_user(id).unwrap();
        let [record] = stage.records().try_into().unwrap();
        let read = (record.client.as_deref(), record.request_id.as_deref());
        assert_eq!(read, (Some(cleaned), Some(cleaned)), "{typed:?}");
        let [heard] = stage.heard.take().try_into().unwrap();
        assert_eq!((heard.client(), heard.request_id()), read);
        stage.execute("DELETE FROM account_events");
    }
}

/// Of any characters: the columns count characters, and not bytes.
fn texts_of_the_greatest_length_fit<C: Host>(stage: Stage<C>) {
    for long in ["x", "\u{1f512}", "\0", "\\", "\u{10ffff}", "e\u{301}"] {
        let users = stage
            .users
            .with(Context::new().client(long.repeat(10_000)).request_id(long.repeat(10_000)));
        assert!(users.create_user(person("alice")).unwrap().is_created());
        assert!(!users.create_user(person("alice")).unwrap().is_created());
        assert!(users.authenticate("alice", PASSWORD).unwrap().is_accepted());
        let records = stage.records();
        assert_eq!(records.len(), 3);
        for record in records {
            assert_eq!(record.client.unwrap().chars().count(), 255, "{long:?}");
            assert_eq!(record.request_id.unwrap().chars().count(), 255, "{long:?}");
        }
        stage.empty();
    }
}

fn no_secret_is_in_a_record_or_in_what_is_heard<C: Host>(stage: Stage<C>) {
    let (token, hash) = act_with_canaries(&stage);
    let heard = stage.heard.take();
    let (heard, records) = (format!("{heard:?} {heard:#?}"), format!("{:?}", stage.records()));
    let columns = stage.number(&format!(
        "SELECT COUNT(*) AS number FROM {}",
        match C::ENGINE {
            Engine::Sqlite => "pragma_table_info('account_events')",
            Engine::Postgres =>
                "information_schema.columns \
                 WHERE table_name = 'account_events' AND table_schema = current_schema()",
            _ =>
                "information_schema.columns \
                 WHERE table_name = 'account_events' AND table_schema = DATABASE()",
        }
    ));
    assert_eq!(columns, 9, "all of them are read here");
    assert_eq!(stage.records().len(), 13);
    for text in [heard, records] {
        // And one would be found.
        assert!(text.contains("siskin at home"));
        expect_no_canary(&text, &token, &hash);
    }
}

/// Diesel prints what is bound.
fn the_statements_of_a_record_show_no_secret<C: Host>(stage: Stage<C>) {
    let sent = Arc::new(Mutex::new(String::new()));
    let log = sent.clone();
    let mut conn = stage.database.connect();
    before_each_statement(&mut conn, move |statement| {
        if statement.contains("account_events") {
            log.lock().unwrap().push_str(statement);
        }
    });
    let alice = stage.users.prepare(person("linnet")).unwrap();
    let users = stage.users.with(Context::new().client("siskin at home"));
    assert!(users.on(&mut conn).create_user(&alice).unwrap().is_created());
    let _ = users.on(&mut conn).create_user(&alice).unwrap();
    let sent = sent.lock().unwrap().clone();
    assert!(sent.contains("siskin at home"));
    expect_no_canary(&sent, "no token", "no hash");
}

/// Each act, with a canary wherever something can be told; and a token of a device and a hash.
fn act_with_canaries<C: Host>(stage: &Stage<C>) -> (String, String) {
    let policy = stage.policy().secret_key(SecretKey::new([7; 32]).unwrap());
    let users = stage.users_with(policy);
    let users = users.with(Context::new().client("siskin at home"));
    let alice = || NewUser::new("linnet", "linnet@serin.example", CANARY_PASSWORD);
    let id = users.create_user(alice()).unwrap().created().unwrap().id();
    let accepted = users.authenticate("linnet", CANARY_PASSWORD).unwrap().accepted().unwrap();
    let token = accepted.device_token().unwrap().as_str().to_owned();
    let users = users.with(Context::new().client("siskin at home").known_device(token.clone()));
    let hash = stage.database.connect().accounts().unwrap()[0].password_hash.clone().unwrap();
    let _ = users.create_user(alice()).unwrap();
    let _ = users.authenticate("linnet@serin.example", CANARY_PASSWORD).unwrap();
    let _ = users.authenticate("linnet", "canary horse staple").unwrap();
    let _ = users.authenticate("linnet nobody", CANARY_PASSWORD).unwrap();
    let _ = users.change_password(id, CANARY_PASSWORD, "canary battery staple").unwrap();
    let _ = users.change_password(id, CANARY_PASSWORD, "canary battery staple").unwrap();
    users.set_password(id, CANARY_PASSWORD).unwrap();
    users.require_password_change(id).unwrap();
    users.disable_user(id).unwrap();
    users.unlock_user(id).unwrap();
    let row = ImportUser::new().username("linnet2").email("two@serin.example");
    assert_eq!(users.import_users([row], |_, _| ()).unwrap().created(), 1);
    (token, hash)
}

fn expect_no_canary(text: &str, token: &str, hash: &str) {
    let text = text.to_lowercase();
    for canary in ["linnet", "serin", "canary", "argon2", token, hash] {
        assert!(!text.contains(&canary.to_lowercase()), "{canary} in {text}");
    }
}

const CANARY_PASSWORD: &str = "canary horse battery";
