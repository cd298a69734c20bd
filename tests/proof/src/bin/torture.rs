//! Load under faults for as long as one likes.
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, victim, engine, url] = &arguments[..]
        && victim == "victim"
    {
        diesel_accounts_proof::workload::victim::run(engine, url);
    }
}
