//! Where the actors of a story are: each choice of places is a case.

use crate::schedule::actor::Place;
use crate::schedule::cases::Case;
use crate::schedule::gates::Stops;
use crate::schedule::story::Story;
use crate::schedule::watch::ScheduledConnection;

/// Each actor on a connection of its own: from the manager's pool or lent, in all ways.
#[must_use]
pub fn all_own(story: Story, stops: Stops) -> Vec<Case> {
    let place = |actor: usize, way: u32| match way >> actor & 1 {
        0 => Place::Manager,
        _ => Place::Lent,
    };
    let places = |way| (0..story.actors()).map(|actor| place(actor, way)).collect();
    (0..1 << story.actors()).map(|way| Case::new(story, places(way), stops)).collect()
}

/// One actor in a transaction of a host at each level, the other on a connection of its own.
#[must_use]
pub fn host_and_own<C: ScheduledConnection>(story: Story, stops: Stops) -> Vec<Case> {
    let cases = |host| {
        [[host, Place::Manager], [Place::Lent, host]]
            .map(|places| Case::new(story, places.to_vec(), stops))
    };
    [false, true].into_iter().flat_map(hosts::<C>).flat_map(cases).collect()
}

/// Three actors, one in a transaction of a host at each level, each in turn.
#[must_use]
pub fn one_host_of_three<C: ScheduledConnection>(story: Story, stops: Stops) -> Vec<Case> {
    let cases = |host| {
        [
            [host, Place::Manager, Place::Lent],
            [Place::Lent, host, Place::Manager],
            [Place::Manager, Place::Lent, host],
        ]
        .map(|places| Case::new(story, places.to_vec(), stops))
    };
    [false, true].into_iter().flat_map(hosts::<C>).flat_map(cases).collect()
}

/// All in transactions of hosts at the same level, for each level.
#[must_use]
pub fn all_hosts<C: ScheduledConnection>(story: Story, stops: Stops, read: bool) -> Vec<Case> {
    let case = |host| Case::new(story, vec![host; story.actors()], stops);
    hosts::<C>(read).into_iter().map(case).collect()
}

/// Two hosts at two levels, in each order of each two.
#[must_use]
pub fn hosts_at_two_levels<C: ScheduledConnection>(
    story: Story,
    stops: Stops,
    read: bool,
) -> Vec<Case> {
    let hosts = hosts::<C>(read);
    let pairs = hosts.iter().flat_map(|one| hosts.iter().map(move |other| vec![*one, *other]));
    let differ = |places: &Vec<Place>| places[0] != places[1];
    pairs.filter(differ).map(|places| Case::new(story, places, stops)).collect()
}

/// All creators unprepared, and one of them beside a creator who is prepared; whoever deletes does
/// it by a manager, by a lent connection, and in a transaction of a host at each level.
#[must_use]
pub fn sign_ups<C: ScheduledConnection>(story: Story, stops: Stops) -> Vec<Case> {
    let creators = story.actors() - usize::from(story.has_deleter());
    let mut ways = vec![vec![Place::SignUp; creators]];
    for beside in [Place::Manager, Place::Lent] {
        for creator in 1..creators {
            let mut places = vec![Place::SignUp; creators];
            places[creator] = beside;
            ways.push(places);
        }
    }
    if story.has_deleter() {
        let mut deleters = vec![Place::Manager, Place::Lent];
        deleters.extend(hosts::<C>(false));
        let with = |way: Vec<Place>| {
            deleters.iter().map(move |deleter| [way.clone(), vec![*deleter]].concat())
        };
        ways = ways.into_iter().flat_map(with).collect();
    }
    ways.into_iter().map(|places| Case::new(story, places, stops)).collect()
}

/// A host at each level, which has looked for the account before or has not.
fn hosts<C: ScheduledConnection>(reads: bool) -> Vec<Place> {
    (0..C::ISOLATIONS.len()).map(|level| Place::Host { level, reads }).collect()
}
