//! One column of a result as the server describes it; shared by the wire core, the row frames and the JS boundary.

/// A column of a `RowDescription`.
///
/// Source: PostgreSQL protocol, "Message Formats", `RowDescription`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Column name; bytes that are not UTF-8 are replaced by U+FFFD (documented policy, rule W11).
    pub name: Box<str>,
    /// OID of the table the column belongs to, 0 when it is no table's column.
    pub table_oid: u32,
    /// Attribute number of the column in its table, 0 when it is no table's column.
    pub column: i16,
    /// OID of the data type; domains are reported as their base type.
    pub type_oid: u32,
    /// `pg_type.typlen`: bytes, negative for variable-width types.
    pub type_size: i16,
    /// `pg_attribute.atttypmod`, −1 when the type has none.
    pub type_modifier: i32,
}
