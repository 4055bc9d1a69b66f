//! SASLprep (RFC 4013) as the server does it when it stores a password.
//!
//! It looks for what is prohibited before it normalises, where the RFC looks behind: a character that is newer than Unicode
//! 3.2 or deprecated keeps the whole password as it is, although its normal form were allowed. Only who does the same derives
//! the same key. Source: `pg_saslprep` in `src/common/saslprep.c`.

use stringprep::tables;
use unicode_normalization::UnicodeNormalization;

/// The prepared password; `None` where the server takes the bytes as they are.
pub(super) fn prepare(password: &str) -> Option<String> {
    if password.is_ascii() {
        return None;
    }
    let mapped = || password.chars().filter_map(map);
    let is_whole = |is_kind: fn(char) -> bool| {
        mapped().next().is_some_and(is_kind) && mapped().next_back().is_some_and(is_kind)
    };
    let has_right = mapped().any(tables::bidi_r_or_al);
    let is_mixed = has_right && (mapped().any(tables::bidi_l) || !is_whole(tables::bidi_r_or_al));
    // What nothing is left of is prohibited as well.
    let is_prohibited = mapped().next().is_none() || mapped().any(is_prohibited) || is_mixed;
    (!is_prohibited).then(|| mapped().nfkc().collect())
}

/// Spaces become one, and what is only seen in its neighbours is left out.
fn map(character: char) -> Option<char> {
    if tables::non_ascii_space_character(character) {
        Some(' ')
    } else {
        Some(character).filter(|character| !tables::commonly_mapped_to_nothing(*character))
    }
}

fn is_prohibited(character: char) -> bool {
    [
        tables::ascii_control_character,
        tables::non_ascii_control_character,
        tables::private_use,
        tables::non_character_code_point,
        tables::inappropriate_for_plain_text,
        tables::inappropriate_for_canonical_representation,
        tables::change_display_properties_or_deprecated,
        tables::tagging_character,
        tables::unassigned_code_point,
    ]
    .iter()
    .any(|is_kind| is_kind(character))
}

#[cfg(test)]
mod tests {
    use super::prepare;

    #[test]
    fn passwords_are_prepared_as_the_server_does() {
        for (password, prepared) in [
            // as they are
            ("", None),
            ("plain \u{7f}\u{1}", None),
            ("é\u{1}", None),
            ("🙂e\u{301}", None),
            ("\u{e000}", None),
            ("\u{ad}", None),
            ("\u{feff}\u{200d}", None),
            // allowed only once they are normalised
            ("\u{1d43}", None),
            ("\u{32ff}", None),
            ("a\u{340}", None),
            ("a\u{fc5e}", None),
            // both directions, or not from end to end
            ("\u{5d0}é", None),
            ("\u{5d0}1", None),
            ("\u{5d0}1\u{5d0}", Some("\u{5d0}1\u{5d0}")),
            // mapped and normalised
            ("é", Some("é")),
            ("e\u{301}", Some("é")),
            ("a\u{a0}b\u{200b}\u{ad}c", Some("a b c")),
            ("ﬁ\u{2168}", Some("fiIX")),
            ("\u{ad}\u{5d0}\u{5d0}\u{ad}", Some("\u{5d0}\u{5d0}")),
        ] {
            assert_eq!(prepare(password).as_deref(), prepared, "{password:?}");
        }
    }
}
