//! Which operations come with which probability.
//!
//! Few names, few passwords and few clients: what matters happens where they meet again. The
//! strategies are boxed, for together they are more than the stack of a test has room for.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::operation::{
    Applicant, Change, ForeignHash, HashingRule, Label, NO_EMAIL, NO_PASSWORD, NO_USERNAME, Name,
    Newcomer, Operation, PASSWORDS, Rules, Scope, Step, Visitor, Wanted,
};

/// Everything, among few people.
pub(crate) fn steps() -> BoxedStrategy<Step> {
    prop_oneof![
        10 => operations().prop_map(Step::Pooled),
        5 => operations().prop_map(Step::Lent),
        2 => (any::<bool>(), vec(operations(), 1..5))
            .prop_map(|(commit, operations)| Step::InTransaction { commit, operations }),
        3 => time(),
    ]
    .boxed()
}

/// Sign-ins to one account, mostly with a wrong password, and what bears upon them.
pub(crate) fn attempts() -> BoxedStrategy<Step> {
    let ann = Label::Given(0);
    let rules =
        |hashing| Rules { refuses_duplicates: false, insists_on_verified_email: false, hashing };
    let scopes = || {
        let hashing = prop_oneof![
            15 => Just(HashingRule::Cheap),
            1 => Just(HashingRule::Dearer),
            1 => Just(HashingRule::Peppered),
        ];
        hashing.prop_map(move |hashing| Scope { realm: 0, rules: rules(hashing) })
    };
    let logins = || select(vec!["ann", "Ann", "ann@example.org"]).prop_map(str::to_owned);
    let passwords =
        || prop_oneof![1 => Just(PASSWORDS[0]), 4 => Just(PASSWORDS[1])].prop_map(str::to_owned);
    let slots = || 0..1_u8;
    let visitors =
        || {
            (option::of(0..2_u8), option::weighted(0.4, slots()))
                .prop_map(|(client, device)| Visitor { client, device, keep: 0 })
        };
    let applicants = option::of(Just("ann@example.org".to_owned())).prop_map(|email| Applicant {
        username: Some("ann".to_owned()),
        email,
        password: Some(PASSWORDS[0].to_owned()),
    });
    let operations = prop_oneof![
        4 => (scopes(), applicants)
            .prop_map(move |(scope, applicant)| Operation::Create { scope, label: ann, applicant }),
        12 => (scopes(), visitors(), logins(), passwords()).prop_map(
            |(scope, visitor, login, password)| {
                Operation::SignIn { scope, visitor, login, password }
            }
        ),
        2 => (scopes(), visitors(), logins(), slots()).prop_map(
            |(scope, visitor, login, slot)| Operation::BeginSignIn { scope, visitor, login, slot }
        ),
        2 => (scopes(), visitors(), Just(PASSWORDS[0].to_owned()), slots()).prop_map(
            |(scope, visitor, password, slot)| {
                Operation::FinishSignIn { scope, visitor, password, slot }
            }
        ),
        1 => (scopes(), visitors(), passwords(), passwords()).prop_map(
            move |(scope, visitor, current, new)| {
                Operation::ChangePassword { scope, visitor, label: ann, current, new }
            }
        ),
        1 => (scopes(), visitors(), passwords(), slots()).prop_map(
            move |(scope, visitor, new, slot)| {
                Operation::BeginChange { scope, visitor, label: ann, new, slot }
            }
        ),
        1 => (scopes(), Just(PASSWORDS[0].to_owned()), slots()).prop_map(
            |(scope, current, slot)| Operation::FinishChange { scope, current, slot }
        ),
        4 => scopes().prop_map(move |scope| Operation::FailedAttempts { scope, label: ann }),
        1 => (scopes(), prop_oneof![changes(), Just(Change::DemandAnother)])
            .prop_map(move |(scope, change)| Operation::Change { scope, label: ann, change }),
        1 => (scopes(), Just(PASSWORDS[0].to_owned())).prop_map(
            move |(scope, password)| Operation::SetPassword { scope, label: ann, password }
        ),
        1 => (scopes(), any::<bool>()).prop_map(move |(scope, check)| match check {
            true => Operation::CheckSession { scope, label: ann, slot: 0 },
            false => Operation::RememberSession { scope, label: ann, slot: 0 },
        }),
    ]
    .boxed();
    prop_oneof![
        8 => operations.clone().prop_map(Step::Pooled),
        4 => operations.prop_map(Step::Lent),
        5 => time(),
    ]
    .boxed()
}

fn time() -> BoxedStrategy<Step> {
    let seconds = prop_oneof![
        4 => select(vec![1, 5, 10, 20, 40, 61]),
        1 => select(vec![-61, -5, 3_600, 100_000, 172_800, 200_000]),
    ];
    let times = prop_oneof![2 => 0..2_i64, 8 => (seconds, 0..2_i64).prop_map(|(seconds, less)| seconds * 1_000_000 - less)];
    (times, 1..4_u32).prop_map(|(micros, portion)| Step::TimePasses { micros, portion }).boxed()
}

fn operations() -> BoxedStrategy<Operation> {
    prop_oneof![
        8 => creations(),
        4 => readings(),
        4 => (scopes(), labels(), changes())
            .prop_map(|(scope, label, change)| Operation::Change { scope, label, change }),
        8 => sign_ins(),
        3 => password_changes(),
        2 => sessions(),
    ]
    .boxed()
}

fn creations() -> BoxedStrategy<Operation> {
    let slots = || 0..2_u8;
    prop_oneof![
        4 => (scopes(), labels(), applicants())
            .prop_map(|(scope, label, applicant)| Operation::Create { scope, label, applicant }),
        2 => (scopes(), labels(), applicants(), slots()).prop_map(
            |(scope, label, applicant, slot)| Operation::Prepare { scope, label, applicant, slot }
        ),
        3 => (scopes(), slots())
            .prop_map(|(scope, slot)| Operation::CreatePrepared { scope, slot }),
        3 => (scopes(), vec(newcomers(), 0..5))
            .prop_map(|(scope, newcomers)| Operation::Import { scope, newcomers }),
    ]
    .boxed()
}

fn readings() -> BoxedStrategy<Operation> {
    let wanted = prop_oneof![
        labels().prop_map(Wanted::Id),
        logins().prop_map(Wanted::Username),
        logins().prop_map(Wanted::Email),
        logins().prop_map(Wanted::Login),
    ];
    let limits = || prop_oneof![3 => 0..4_u32, 1 => Just(u32::MAX)];
    let by_username =
        (Just(Name::Username), select(vec!["", "a", "AN", "ann", "b"]), option::of(usernames()));
    let by_email = (
        Just(Name::Email),
        select(vec!["", "A", "ann@", "ann@Example.o", "b"]),
        option::of(addresses()),
    );
    prop_oneof![
        4 => (scopes(), wanted).prop_map(|(scope, wanted)| Operation::Find { scope, wanted }),
        2 => (scopes(), option::of(labels()), limits())
            .prop_map(|(scope, after, limit)| Operation::List { scope, after, limit }),
        2 => (scopes(), prop_oneof![by_username.boxed(), by_email.boxed()], limits()).prop_map(
            |(scope, (name, prefix, after), limit)| {
                Operation::Search { scope, name, prefix: prefix.to_owned(), after, limit }
            }
        ),
        2 => (scopes(), labels())
            .prop_map(|(scope, label)| Operation::FailedAttempts { scope, label }),
        1 => scopes().prop_map(|scope| Operation::Check { scope }),
        1 => scopes().prop_map(|scope| Operation::Migrate { scope }),
    ]
    .boxed()
}

fn sign_ins() -> BoxedStrategy<Operation> {
    prop_oneof![
        4 => (scopes(), visitors(), logins(), passwords()).prop_map(
            |(scope, visitor, login, password)| {
                Operation::SignIn { scope, visitor, login, password }
            }
        ),
        1 => (scopes(), visitors(), logins(), 0..2_u8).prop_map(
            |(scope, visitor, login, slot)| Operation::BeginSignIn { scope, visitor, login, slot }
        ),
        1 => (scopes(), visitors(), passwords(), 0..2_u8).prop_map(
            |(scope, visitor, password, slot)| {
                Operation::FinishSignIn { scope, visitor, password, slot }
            }
        ),
    ]
    .boxed()
}

fn password_changes() -> BoxedStrategy<Operation> {
    let news = || prop_oneof![9 => passwords(), 1 => Just(NO_PASSWORD.to_owned())];
    prop_oneof![
        2 => (scopes(), labels(), news()).prop_map(
            |(scope, label, password)| Operation::SetPassword { scope, label, password }
        ),
        3 => (scopes(), visitors(), labels(), passwords(), news()).prop_map(
            |(scope, visitor, label, current, new)| {
                Operation::ChangePassword { scope, visitor, label, current, new }
            }
        ),
        1 => (scopes(), visitors(), labels(), news(), 0..2_u8).prop_map(
            |(scope, visitor, label, new, slot)| {
                Operation::BeginChange { scope, visitor, label, new, slot }
            }
        ),
        1 => (scopes(), passwords(), 0..2_u8).prop_map(
            |(scope, current, slot)| Operation::FinishChange { scope, current, slot }
        ),
    ]
    .boxed()
}

fn sessions() -> BoxedStrategy<Operation> {
    (scopes(), labels(), 0..2_u8, any::<bool>())
        .prop_map(|(scope, label, slot, check)| match check {
            true => Operation::CheckSession { scope, label, slot },
            false => Operation::RememberSession { scope, label, slot },
        })
        .boxed()
}

fn changes() -> impl Strategy<Value = Change> {
    select(vec![
        Change::Disable,
        Change::Enable,
        Change::Enable,
        Change::Reserve,
        Change::Reserve,
        Change::Delete,
        Change::RemovePassword,
        Change::DemandAnother,
        Change::Unlock,
    ])
}

fn scopes() -> impl Strategy<Value = Scope> {
    let hashing = prop_oneof![
        6 => Just(HashingRule::Cheap),
        2 => Just(HashingRule::Dearer),
        1 => Just(HashingRule::Peppered),
    ];
    let (rarely, seldom) = (prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    (prop_oneof![6 => Just(0_u8), 1 => Just(1)], rarely, seldom, hashing).prop_map(
        |(realm, refuses_duplicates, insists_on_verified_email, hashing)| Scope {
            realm,
            rules: Rules { refuses_duplicates, insists_on_verified_email, hashing },
        },
    )
}

fn labels() -> impl Strategy<Value = Label> {
    prop_oneof![(0..3_u8).prop_map(Label::Given), (0..3_u8).prop_map(Label::Fresh)]
}

fn applicants() -> impl Strategy<Value = Applicant> {
    let usernames =
        prop_oneof![12 => usernames(), 1 => select(vec![NO_USERNAME.to_owned(), " ".to_owned()])];
    let addresses = prop_oneof![12 => addresses(), 1 => Just(NO_EMAIL.to_owned())];
    let passwords = prop_oneof![12 => passwords(), 1 => Just(NO_PASSWORD.to_owned())];
    (
        option::weighted(0.8, usernames),
        option::weighted(0.8, addresses),
        option::weighted(0.9, passwords),
    )
        .prop_map(|(username, email, password)| Applicant { username, email, password })
}

fn newcomers() -> impl Strategy<Value = Newcomer> {
    let hashes = prop_oneof![
        1 => Just(ForeignHash::Absent),
        1 => Just(ForeignHash::Malformed),
        3 => (0..PASSWORDS.len()).prop_map(ForeignHash::AsItIs),
        3 => (0..PASSWORDS.len()).prop_map(ForeignHash::Layered),
    ];
    let times = || option::of(0..3_i64);
    (
        option::weighted(0.3, 0..3_u8),
        applicants(),
        hashes,
        prop::bool::weighted(0.2),
        times(),
        times(),
        times(),
    )
        .prop_map(
            |(id, applicant, hash, disabled, verified_at, created_at, last_sign_in_at)| {
                let Applicant { username, email, .. } = applicant;
                Newcomer {
                    id,
                    username,
                    email,
                    hash,
                    disabled,
                    verified_at,
                    created_at,
                    last_sign_in_at,
                }
            },
        )
}

fn visitors() -> impl Strategy<Value = Visitor> {
    (option::weighted(0.3, 0..2_u8), option::weighted(0.3, 0..2_u8), 0..2_u8)
        .prop_map(|(client, device, keep)| Visitor { client, device, keep })
}

fn passwords() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(PASSWORDS[0]), 1 => Just(PASSWORDS[1]), 1 => Just(PASSWORDS[2])]
        .prop_map(str::to_owned)
}

/// What people sign in with: mostly the names of which most have accounts.
fn logins() -> impl Strategy<Value = String> {
    let others = select(vec!["", "two words", "a@b@c.example", "ann@", "never.there"]);
    prop_oneof![
        8 => usernames(),
        8 => addresses(),
        1 => others.prop_map(str::to_owned),
        1 => Just("x".repeat(2_049)),
    ]
}

fn usernames() -> impl Strategy<Value = String> {
    select(vec!["ann", "Ann", "ANN", " ann", "anna", "AnnA", "an", "bob", "BoB\t"])
        .prop_map(str::to_owned)
}

fn addresses() -> impl Strategy<Value = String> {
    select(vec![
        "ann@example.org",
        "Ann@Example.ORG",
        "ann@example.com",
        "anna@example.org",
        " bob@example.org ",
        "BOB@EXAMPLE.org",
        "bob@b.example",
    ])
    .prop_map(str::to_owned)
}
