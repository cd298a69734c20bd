//! Many who ask at one moment, through the pools of several instances.

use diesel_accounts::{DatabaseLimiter, Engine, RateLimiter, UserManager};
use diesel_accounts_proof::database::{Database, ProofConnection, policy};

use crate::support::{
    HOUR, Stage, admitted, at_once, client, on_each_engine, on_each_server, quota,
};

on_each_engine!(
    instances_together_admit_exactly_the_burst,
    instances_together_admit_all_there_are_of_many_keys,
);

on_each_server!(instances_together_admit_exactly_the_burst_at_serializable,);

fn instances_together_admit_exactly_the_burst<C: ProofConnection>(stage: Stage<C>) {
    race(&instances(&stage), &stage.database);
}

/// A host may set its sessions so: whoever meets another is refused, and asks again.
fn instances_together_admit_exactly_the_burst_at_serializable<C: ProofConnection>(stage: Stage<C>) {
    let instances = [0; INSTANCES].map(|_| {
        let pool = stage.database.pool(CONNECTIONS);
        let conns: Vec<_> = (0..CONNECTIONS).map(|_| pool.get().unwrap()).collect();
        for mut conn in conns {
            conn.batch_execute(match C::ENGINE {
                Engine::Postgres => "SET default_transaction_isolation = 'serializable'",
                _ => "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            })
            .unwrap();
        }
        let policy = policy().clock(stage.clock.clone()).build().unwrap();
        UserManager::with_policy(pool, policy)
    });
    race(&instances, &stage.database);
}

/// Each round with a key that nobody has asked for: the first requests race for the row.
fn race<C: ProofConnection>(instances: &[UserManager<C>; INSTANCES], database: &Database<C>) {
    let quota = quota(BURST, HOUR);
    for round in 0..5 {
        let counts = at_once(16, |thread| {
            let users = &instances[thread % INSTANCES];
            let limiter = DatabaseLimiter::new(users);
            admitted(&limiter, client(users, &format!("round {round}")), quota, 50)
        });
        assert_eq!(counts.iter().sum::<u32>(), BURST, "round {round}: {counts:?}");
        let rows = "SELECT COUNT(*) AS number FROM account_limits";
        assert_eq!(database.connect().numbers(rows).unwrap(), [round + 1]);
    }
}

/// In other orders: nobody is in the way of who asks for another key.
fn instances_together_admit_all_there_are_of_many_keys<C: ProofConnection>(stage: Stage<C>) {
    let (instances, quota) = (instances(&stage), quota(3, HOUR));
    let counts = at_once(12, |thread| {
        let users = &instances[thread % INSTANCES];
        let limiter = DatabaseLimiter::new(users);
        let ask = |number| {
            let key = client(users, &format!("{}", (number + thread) % 20));
            limiter.check(key, quota).unwrap().refused().is_none()
        };
        (0..20).filter(|number| ask(*number)).count()
    });
    assert_eq!(counts.iter().sum::<usize>(), 20 * 3, "{counts:?}");
    assert_eq!(stage.arrivals().len(), 20);
}

fn instances<C: ProofConnection>(stage: &Stage<C>) -> [UserManager<C>; INSTANCES] {
    [0; INSTANCES].map(|_| stage.instance(&stage.clock))
}

const BURST: u32 = 100;
const INSTANCES: usize = 3;
const CONNECTIONS: u32 = 4;
