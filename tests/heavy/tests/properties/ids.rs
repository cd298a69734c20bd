//! Ids and places in lists, as texts.

use diesel_accounts::{RealmId, UserCursor, UserId};
use proptest::prelude::*;

use crate::texts::texts;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ids_and_places_survive_the_way_through_text(bytes: [u8; 16], micros: i64) {
        let (user, realm) = (UserId::from_bytes(bytes), RealmId::from_bytes(bytes));
        prop_assert_eq!(user.to_string().parse(), Ok(user));
        prop_assert_eq!(realm.to_string().parse(), Ok(realm));
        prop_assert_eq!(user.as_bytes(), &bytes);
        let text = format!("{micros}.{user}");
        let place: UserCursor = text.parse().unwrap();
        prop_assert_eq!(place.to_string(), text);
    }

    #[test]
    fn any_text_is_an_id_or_a_place_or_neither(
        text in prop_oneof![texts(), "[0-9a-fA-F{}:urnid-]{30,40}", "[-+0-9]{0,22}\\.[0-9a-f-]{32,36}"],
    ) {
        if let Ok(id) = text.parse::<UserId>() {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
        if let Ok(realm) = text.parse::<RealmId>() {
            prop_assert_eq!(realm.to_string().parse(), Ok(realm));
        }
        if let Ok(place) = text.parse::<UserCursor>() {
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }
    }
}
