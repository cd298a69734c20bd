//! What a single character is.

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{
    CodePointMapData, CodePointMapDataBorrowed, CodePointSetData, CodePointSetDataBorrowed,
};

use super::assigned::is_assigned;
use super::invalid::Violation;

/// Why a character may stand nowhere, in a username or an email address, whatever the rules.
pub(crate) fn unsafe_character(character: char) -> Option<Violation> {
    const IGNORABLE: CodePointSetDataBorrowed<'static> =
        CodePointSetData::new::<DefaultIgnorableCodePoint>();
    if character.is_ascii() {
        return character.is_ascii_control().then_some(Violation::ControlCharacter);
    }
    if !is_assigned(character) {
        return Some(Violation::UnassignedCharacter);
    }
    match category(character) {
        GeneralCategory::Control
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => Some(Violation::ControlCharacter),
        GeneralCategory::Format => Some(Violation::InvisibleCharacter),
        _ if IGNORABLE.contains(character) => Some(Violation::InvisibleCharacter),
        GeneralCategory::PrivateUse => Some(Violation::CharacterNotAllowed),
        _ => None,
    }
}

pub(crate) fn category(character: char) -> GeneralCategory {
    const MAP: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::new();
    MAP.get(character)
}
