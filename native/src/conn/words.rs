//! Looks for what a text may do that its neighbours must know of: word by word, without parsing. Whatever looks like a word
//! is one, in comments and quotes as well: a text is suspected too often rather than too rarely.

use crate::conn::wording::skip_comments;

/// What may stand in front of a parenthesis: keywords, types, and functions whose work is done when they return. What is
/// called and not named here may be anything.
const HARMLESS: &[&str] = &[
    // Keywords.
    " select with values from join lateral on where and or not in any some all exists as by over using filter within group \
      having returning union intersect except distinct case when then else between like ilike similar limit offset fetch materialized \
      array row grouping sets cube rollup explain declare for set cross inner full natural return ",
    // Types.
    " char character varchar varying bit numeric decimal float time timestamp timestamptz timetz interval ",
    // Aggregates and windows.
    " count sum avg min max every bool_and bool_or bit_and bit_or array_agg string_agg json_agg jsonb_agg json_object_agg \
      jsonb_object_agg stddev variance percentile_cont percentile_disc mode row_number rank dense_rank percent_rank cume_dist \
      ntile lag lead first_value last_value nth_value ",
    // Values.
    " coalesce nullif greatest least cast abs ceil ceiling floor round trunc mod div power sqrt exp ln sign random width_bucket \
      unnest generate_series generate_subscripts cardinality array_length array_lower array_upper array_position array_append \
      array_prepend array_cat array_remove array_to_string string_to_array gen_random_uuid md5 sha256 sha512 digest hashtext ",
    // Texts.
    " lower upper initcap trim btrim ltrim rtrim length char_length character_length octet_length bit_length substr substring \
      position overlay strpos replace translate reverse repeat left right lpad rpad concat concat_ws format split_part \
      starts_with regexp_replace regexp_match regexp_matches regexp_split_to_array regexp_split_to_table encode decode chr ascii \
      quote_ident quote_literal quote_nullable to_tsvector to_tsquery plainto_tsquery websearch_to_tsquery ts_rank ts_headline ",
    // JSON.
    " to_json to_jsonb row_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array json_object jsonb_object \
      json_each jsonb_each json_each_text jsonb_each_text json_array_elements jsonb_array_elements json_array_elements_text \
      jsonb_array_elements_text json_array_length jsonb_array_length json_typeof jsonb_typeof json_object_keys jsonb_object_keys \
      jsonb_set jsonb_insert jsonb_strip_nulls jsonb_pretty jsonb_path_query jsonb_path_exists jsonb_path_query_array \
      json_to_recordset jsonb_to_recordset json_to_record jsonb_to_record ",
    // Dates.
    " now clock_timestamp statement_timestamp transaction_timestamp date_trunc date_part date_bin extract age to_char to_date \
      to_timestamp to_number make_date make_time make_timestamp make_timestamptz make_interval justify_days justify_hours \
      justify_interval isfinite ",
    // The server.
    " version current_database current_schema current_setting set_config txid_current txid_current_if_assigned pg_backend_pid \
      pg_current_xact_id pg_current_xact_id_if_assigned pg_is_in_recovery pg_sleep pg_typeof nextval currval lastval setval \
      pg_advisory_lock pg_try_advisory_lock pg_advisory_unlock pg_advisory_xact_lock pg_try_advisory_xact_lock \
      pg_advisory_lock_shared pg_try_advisory_lock_shared pg_advisory_xact_lock_shared pg_try_advisory_xact_lock_shared \
      pg_relation_size pg_total_relation_size pg_database_size pg_size_pretty obj_description col_description format_type \
      pg_get_expr pg_get_indexdef pg_get_constraintdef pg_get_viewdef to_regclass has_table_privilege ",
];

/// What stands behind one of these is no call, whatever it is: a table or an alias, and its columns.
const NAMING: &str = " into table exists copy references with recursive as ";

/// In place of a word that may be anything.
const ANY: &str = "\"";

/// One word of a text, in lower case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'a> {
    /// Itself; `"` for one that may be anything.
    pub(super) text: &'a str,
    /// The one in front, if nothing but space is between.
    pub(super) before: &'a str,
    /// How many are in front of it in its statement.
    pub(super) place: usize,
}

/// Has it a word that is suspicious, or does it call what may do anything?
pub(super) fn is_suspect(text: &str, mut suspicious: impl FnMut(Word<'_>) -> bool) -> bool {
    let Some(text) = skip_comments(text) else {
        return true;
    };
    let mut bytes = text.as_bytes();
    let mut place = 0;
    let mut word = String::new();
    // The word that follows may be a name in the schema that `word` is.
    let mut is_part = false;
    // What comes next in parentheses are columns; and it is, perhaps, between the quotes of their table's name.
    let (mut is_named, mut is_quoted) = (false, false);
    let mut is_remark = false;
    let mut last = b' ';
    while let Some((&byte, rest)) = bytes.split_first() {
        if byte == b'_' || byte.is_ascii_alphabetic() || !byte.is_ascii() {
            let end = bytes.iter().position(|byte| {
                !(matches!(byte, b'_' | b'$') || byte.is_ascii_alphanumeric() || !byte.is_ascii())
            });
            let (found, behind) = bytes.split_at(end.unwrap_or(bytes.len()));
            let found = String::from_utf8_lossy(found).to_ascii_lowercase();
            let before = std::mem::replace(&mut word, found);
            let (word_now, before_it) = (word.as_str(), before.as_str());
            let found = Word {
                text: word_now,
                before: before_it,
                place,
            };
            if suspicious(found) {
                return true;
            }
            is_named = has(NAMING, before_it)
                || is_named && (is_part || is_quoted)
                || matches!((before_it, word_now), ("on", "conflict"));
            if is_part && before != "pg_catalog" {
                word = ANY.into();
            }
            (is_part, last) = (false, byte);
            place += 1;
            bytes = behind;
            continue;
        }
        let ends_line = matches!(byte, b'\n' | b'\r');
        let ends_comment = ends_line && is_remark || (last, byte) == (b'*', b'/');
        is_remark = !ends_line && (is_remark || (last, byte) == (b'-', b'-'));
        let is_space = byte.is_ascii_whitespace() || byte == b'\x0b';
        // What looks like a comment in front of a statement may be a part of a text in quotes, and its words ours.
        if place == 0 && matches!((last, byte), (b'-', b'-') | (b'/', b'*')) {
            return true;
        }
        is_named = match byte {
            b'"' => is_named || has(NAMING, &word),
            b'.' => is_named,
            _ => is_named && (is_quoted || is_space && !ends_comment || byte == b'('),
        };
        match byte {
            b';' => place = 0,
            // Of a quoted name, or of one that is not harmless.
            b'"' => {
                is_quoted = is_named && !is_quoted;
                word = ANY.into();
            }
            // What is called may stand in front of the comment.
            _ if ends_comment => word = ANY.into(),
            b'(' if is_named && !is_quoted => {
                is_named = false;
                word.clear();
            }
            b'(' if !word.is_empty() && !HARMLESS.iter().any(|names| has(names, &word)) => {
                return true;
            }
            b'.' => {}
            _ if !is_space => word.clear(),
            _ => {}
        }
        is_part = byte == b'.' || ends_comment || is_part && is_space;
        last = byte;
        bytes = rest;
    }
    false
}

/// Is it one of these words, each between two spaces?
pub(super) fn has(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known == word)
}
