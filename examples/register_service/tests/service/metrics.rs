//! What the service counts, beside what its clients heard and what is in the table.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use diesel::SqliteConnection;
use diesel_accounts_proof::database::{Database, ProofConnection};
use serde_json::{Value, json};

use crate::client::{LOGIN, REGISTER};
use crate::on_each_engine;
use crate::people::Person;
use crate::process::Setup;
use crate::table::count;

on_each_engine!(
    the_metrics_agree_with_the_answers_and_with_the_table,
    whether_it_runs_and_is_ready_is_told_in_public_and_the_metrics_are_not,
);

fn the_metrics_agree_with_the_answers_and_with_the_table<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = service.client();
    let mut heard: BTreeMap<u16, u64> = BTreeMap::new();
    let mut hear = |status| *heard.entry(status).or_default() += 1;

    for person in [Person::new("alice"), Person::new("bob"), Person::named("alice", "bob")] {
        hear(client.register(&person).status);
    }
    let (together, carol) = (Barrier::new(20), Person::new("carol"));
    let race = || {
        together.wait();
        client.register(&carol).status
    };
    let statuses: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.into_iter().for_each(&mut hear);
    hear(client.post(REGISTER, &json!({})).status);
    hear(client.send("POST", REGISTER, None, "").unwrap().status);
    assert_eq!(heard, BTreeMap::from([(200, 19), (201, 3), (400, 1), (409, 1), (415, 1)]));

    let metrics = service.metrics();
    for (status, times) in &heard {
        let labels = format!(
            "http_requests_total{{method=\"POST\",route=\"{REGISTER}\",status=\"{status}\"}}"
        );
        assert_eq!(value(&metrics, &labels), Some(*times), "{metrics}");
    }
    let created =
        |outcome: &str| value(&metrics, &format!("account_create_total{{outcome=\"{outcome}\"}}"));
    assert_eq!(created("created"), Some(3), "{metrics}");
    assert_eq!(created("existing"), Some(19), "{metrics}");
    assert_eq!((created("taken"), created("invalid")), (Some(1), Some(1)), "{metrics}");
    // Which of the others lost a race, and which came later, is up to chance; but none was refused.
    let recovered = value(&metrics, "account_create_race_recovered_total");
    assert!(recovered.is_some_and(|recovered| recovered <= 19), "{metrics}");
    assert_eq!(created("undetermined"), Some(0), "{metrics}");
    assert_eq!(count(&database, "account_users"), 3);
    assert_eq!(count(&database, "account_events WHERE outcome = 'created'"), 3);
    assert_eq!(count(&database, "account_events WHERE outcome = 'existing'"), 19);

    // One that nobody has routed, by a method that nobody has heard of, is one series.
    for method in ["BREW", "WHEN"] {
        assert_eq!(client.send(method, "/canary", None, "").unwrap().status, 404);
    }
    client.post(LOGIN, &Person::new("alice").credentials());
    let metrics = service.metrics();
    let none = "http_requests_total{method=\"other\",route=\"none\",status=\"404\"}";
    assert_eq!(value(&metrics, none), Some(2), "{metrics}");
    assert_eq!(value(&metrics, "account_sign_in_total{outcome=\"accepted\"}"), Some(1));
    let seconds = format!("http_request_seconds_count{{method=\"POST\",route=\"{REGISTER}\"}}");
    assert_eq!(value(&metrics, &seconds), Some(heard.values().sum()), "{metrics}");
}

fn whether_it_runs_and_is_ready_is_told_in_public_and_the_metrics_are_not<C: ProofConnection>() {
    let database = Database::<C>::empty();
    let service = Setup::on(&database).start();
    let client = service.client();
    for (path, status) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.json()), (200, json!({ "status": status })));
    }
    assert_eq!(client.get("/metrics").status, 404);
    assert!(service.metrics().contains("# TYPE http_requests_total counter"));
    for path in ["/", "/healthz", "/openapi.json", "/admin/users"] {
        assert_eq!(service.metrics_client().ask_metrics(path).status, 404, "{path}");
    }
}

/// What is misspelt there is an empty graph, which looks like nothing to worry about.
#[test]
fn whatever_the_dashboard_asks_for_is_told() {
    let database = Database::<SqliteConnection>::empty();
    let service = Setup::on(&database).start();
    let (client, alice) = (service.client(), Person::new("alice"));
    client.registered(&alice);
    assert_eq!(client.post(LOGIN, &alice.credentials()).status, 200);
    assert_eq!(client.post(REGISTER, &json!({})).status, 400);
    let metrics = service.metrics();
    let told: Vec<_> = metrics.lines().filter(|line| !line.starts_with('#')).collect();
    let expressions = expressions();
    assert!(expressions.len() > 10, "{expressions:?}");
    for expression in expressions {
        let (names, labels) = names_and_labels(&expression);
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let mut series = told.iter().filter(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            });
            let has_all =
                |line: &&&str| labels.iter().all(|label| line.contains(&format!("{label}=\"")));
            assert!(series.any(|line| has_all(&line)), "{name} by {labels:?} in {metrics}");
        }
    }
}

/// All that the dashboard asks Prometheus.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(include_str!("../../grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// What an expression asks for, and the labels of it by which it is summed up.
fn names_and_labels(expression: &str) -> (Vec<&str>, Vec<&str>) {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let (mut names, mut labels) = (Vec::new(), Vec::new());
    let mut rest = expression;
    while let Some(start) = rest.find(is_name) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|character| !is_name(character)).unwrap_or(from.len());
        let (word, behind) = from.split_at(end);
        rest = behind;
        if word == "by" {
            let (list, behind) = behind.trim_start()[1..].split_once(')').unwrap();
            labels.extend(list.split(',').map(str::trim).filter(|label| *label != OF_PROMETHEUS));
            rest = behind;
        } else if !behind.starts_with('(')
            && !behind.starts_with(" by ")
            && !before.ends_with(['$', '.'])
            && !word.starts_with(|first: char| first.is_ascii_digit())
        {
            names.push(word);
        }
    }
    (names, labels)
}

/// The value of one series.
fn value(metrics: &str, series: &str) -> Option<u64> {
    let lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    let mut values = lines.filter(|(name, _)| *name == series).map(|(_, value)| value);
    values.next().map(|value| value.parse().unwrap())
}

/// Prometheus itself adds it.
const OF_PROMETHEUS: &str = "instance";
